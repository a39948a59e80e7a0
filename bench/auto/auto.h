/* SPDX-License-Identifier: MIT */
/*
 * auto/auto.h - workloads that want different places, and what each place costs
 * them: bench/README.md, section "Auto".
 *
 *     kinds.c   the functions that are run, one a kind of work
 *     loads.c   which of them a workload has, and how many
 *     pools.c   pools that live side by side, and one batch on one of them
 *     rounds.c  warm-up of the auto pool, and rounds in which all take turns
 *
 * bench-auto reports through Google Benchmark; tests/bench/auto_test.c runs the
 * same without it.
 */
#ifndef BENCH_AUTO_H
#define BENCH_AUTO_H

#include <shunt/shunt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* -- kinds.c -- */

enum auto_kind {
    AUTO_TINY,    /* tens of ns */
    AUTO_COMPUTE, /* turns of a short loop, as many as the job says */
    AUTO_SLEEP,   /* nanosleep */
    AUTO_READ,    /* recv on a socket that nobody writes to, with a timeout */
    AUTO_MAP,     /* mmap, touch, munmap; malloc and free */
    AUTO_LOCK,    /* most of its turns under the lock of its process */
    AUTO_RISKY,   /* turns; and some jobs crash */
    AUTO_SUM,     /* submits tiny jobs, all at once, and awaits each */
    AUTO_CARRY,   /* the same with jobs of another kind */
    AUTO_KINDS
};

/* The input of every kind. */
struct auto_job {
    uint32_t number; /* the value is one more; of what it carries, the first */
    uint32_t amount; /* turns, microseconds, or times that it maps */
    uint16_t count;  /* of jobs that it carries */
    uint8_t kind, carries; /* enum auto_kind */
    uint8_t place;         /* of each submit: enum shunt_place */
    bool crashes;
    uint8_t unused[2];
};

/* The result. What a job carried is summed up. */
struct auto_done {
    uint64_t value;
    uint16_t in_host; /* 1 if it ran there */
    uint16_t unsafe;  /* 1 if it was to crash, and was in the host */
    uint32_t carried_in_host;
};

enum {
    AUTO_CARRIED_MAX = 1000
};

/* Indexed by kind. */
extern const shunt_task *const auto_tasks[AUTO_KINDS];
extern const char *const auto_names[AUTO_KINDS];

/* This process is the host, from now on; -1: the system cannot mark it. */
int auto_host_note(void);

/* Turns of COMPUTE, and times of MAP, that take about so long here. */
uint32_t auto_turns_of_us(unsigned us);
uint32_t auto_maps_of_us(unsigned us);

/* Not all of a kind take as long: from half of middle to one and a half, and
 * middle in the mean. */
uint32_t auto_amount(uint32_t middle, uint32_t i);

/* -- pools.c -- */

enum auto_way_id {
    AUTO_THREADS,
    AUTO_PROCESSES,
    AUTO_INLINE, /* threads, and each submit is to run inline */
    AUTO_AUTO,
    AUTO_PROCESSES_INLINE, /* for what threads do not survive */
    AUTO_WAYS
};

struct auto_way {
    const char *name;
    int mode, place;
    bool survives; /* a crash */
};

extern const struct auto_way auto_ways[AUTO_WAYS];

/* What has run on one pool so far, and where. */
struct auto_tally {
    uint64_t in_host[AUTO_KINDS], away[AUTO_KINDS];
    uint64_t crashes; /* of jobs that were to */
    uint64_t again;   /* submitted again, since another one's crash took them */
    uint64_t unsafe;  /* RISKY in the host after the first crash, or to crash */
};

enum {
    AUTO_JOBS_MAX = 1024,
    AUTO_WORKERS = 2
};

/* Jobs that one thread outside submits, so many of them at once. */
struct auto_batch {
    struct auto_job jobs[AUTO_JOBS_MAX];
    size_t count, window;
    size_t tasks; /* with those that are carried, without who carries them */
};

/* An error of shunt, or 0. */
int auto_pool_open(shunt_pool **pool_out, const struct auto_way *way);

/* Run them all: nanoseconds; or negative, and what was wrong is in why. */
int64_t auto_batch_run(shunt_pool *pool, const struct auto_way *way,
                       const struct auto_batch *batch, struct auto_tally *tally,
                       const char **why);

/* -- loads.c -- */

struct auto_shape {
    double scale; /* 1 at most */
    bool second_half;
    bool crashes; /* with the jobs that do */
};

struct auto_load {
    const char *name;
    bool shifts;          /* is another one in its second half */
    bool runs[AUTO_WAYS]; /* on which ways */
    bool crashes;         /* has jobs that do, where the way survives that */
    void (*fill)(struct auto_batch *batch, const struct auto_shape *shape);
};

enum auto_load_id {
    AUTO_LOAD_TINY,
    AUTO_LOAD_COMPUTE,
    AUTO_LOAD_BLOCKING,
    AUTO_LOAD_MAPPING,
    AUTO_LOAD_LOCK,
    AUTO_LOAD_CRASHERS,
    AUTO_LOAD_MIXTURE,
    AUTO_LOADS
};

extern const struct auto_load auto_loads[AUTO_LOADS];

/* -- rounds.c -- */

enum {
    AUTO_ROUNDS_MAX = 200
};

struct auto_options {
    double scale;
    int rounds;
    int64_t warm_ns_max, quiet_ns; /* settled: so long without a change */
    FILE *explain; /* lines of JSON, of the auto pool; may be NULL */
    FILE *trace;   /* what it measures and decides; may be NULL */
};

struct auto_report {
    bool runs[AUTO_WAYS];
    bool whole[AUTO_WAYS]; /* with the jobs that crash, if there are any */
    /* A task, or of what shifts a batch: of each round, and of the first. */
    double ns[AUTO_WAYS][AUTO_ROUNDS_MAX];
    double cold_ns[AUTO_WAYS];
    struct auto_tally tally[AUTO_WAYS];
    double tasks;           /* of a batch, in the mean */
    double settled_seconds; /* of the warm-up, until all was known, and changed
                             * no more, */
    double warm_seconds;    /* until it ended */
    double slower;          /* its time, over what it takes when warm */
    bool settled;
    const char *why; /* it failed */
};

/* 0, or -1, and report->why says why. */
int auto_measure(const struct auto_load *load,
                 const struct auto_options *options,
                 struct auto_report *report);

#endif /* BENCH_AUTO_H */
