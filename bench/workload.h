/* SPDX-License-Identifier: MIT */
/*
 * workload.h - the workloads that several systems have, measured by one code.
 *
 * Each system (shunt, and every peer) is a program of its own, so that none
 * warms or disturbs another. It fills in a struct bench_system and gets the
 * benchmarks whose functions it has:
 *
 *     submit/{1,2}w/window:{1024,all}   window
 *     submit/2w/from:4/window:1024      window, enter, leave
 *     roundtrip/{one-cpu,apart,free}    ping
 *     crossing/{one-cpu,apart}          ping, to another process
 *     bulk/2w                           window, of 20,000
 *     payload/{one-cpu,apart}           payload
 *     payload/stream/{one-cpu,apart}    payloads
 *     idle/2w                           window
 *     tree/{1,2}w                       tree
 *     then/chain                        chain_build, chain_run
 *     when_all/tasks/{1,2}w             all
 *     pingpong/{1,2}w                   pingpong
 *     memory/pending                    pending_new, pending_free
 *     timer/{cancel,late}, memory/timer timer_cancel, timer_wait, timers_new,
 *                                       timers_free
 *
 * The tiny task adds 1 to a 64-bit number. Every result is added up and the
 * sum compared, so that a system which loses a task has no figures.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which of the rows a system is measured by. */
enum bench_rows {
    BENCH_THREADS,
    BENCH_PROCESSES, /* crossing, bulk, payload, and no others */
    BENCH_BOTH
};

/* What a payload has, and how many of them are cut of one source. */
#define BENCH_PAYLOAD ((size_t)1 << 20)
#define BENCH_PAYLOADS 4u

/* All int functions return 0, or -1 if the system failed. */
struct bench_system {
    enum bench_rows rows;
    /* Start so many workers. The calling thread is pinned to cpu meanwhile,
     * so threads made now run there; -1: pinned nowhere. */
    int (*open)(int workers, int cpu);
    void (*close)(void);
    /* Make what the benchmark itself needs for windows of n; not measured. */
    int (*prepare)(size_t n);
    /* Submit the numbers first to first + n - 1 as one task each, get every
     * result, and add them up. */
    int (*window)(uint64_t first, size_t n, uint64_t *sum_out);
    /* What prepare makes, for the calling thread, one of several that call
     * window at the same time; and give that back. */
    int (*enter)(size_t n);
    void (*leave)(void);
    /* Submit one task to a worker and wait for it. */
    int (*ping)(void);
    /* Copy a payload from source into memory that a worker sees, and have
     * the worker copy it into memory that the caller sees; the last byte of
     * that. */
    int (*payload)(const unsigned char *source, unsigned *last_out);
    /* The same of BENCH_PAYLOADS of them, one behind the other in source: all
     * are under way before the first is waited for. The sum of the last bytes.
     */
    int (*payloads)(const unsigned char *source, unsigned *sum_out);
    /* A task that has ten children with a tenth of the leaves each, until
     * one is left; every parent waits for its children. The sum of the
     * leaves' numbers, which count from first. */
    int (*tree)(uint64_t first, uint64_t leaves, uint64_t *sum_out);
    /* Build a chain of n steps, of which each adds 1 to what the one before
     * gives, and none can begin; then let it begin with 0, and wait for it. */
    int (*chain_build)(size_t n);
    int (*chain_run)(uint64_t *out);
    /* As window, with one wait, for all n; the sum is added up in order. */
    int (*all)(uint64_t first, size_t n, uint64_t *sum_out);
    /* One task sends the other a number, and the other answers, n times; each
     * message is 1 more than the one before. The last number. */
    int (*pingpong)(uint64_t n, uint64_t *out);
    /* n futures that nothing has settled. */
    int (*pending_new)(size_t n);
    void (*pending_free)(void);
    /* Set a timer for 10 s and cancel it, n times. */
    int (*timer_cancel)(size_t n);
    /* Wait until a timer of ms has fired. */
    int (*timer_wait)(int ms);
    /* n timers that are an hour away. */
    int (*timers_new)(size_t n);
    void (*timers_free)(void);
};

/*
 * main of every program here: registers the workloads of system and what
 * more adds (may be NULL), and runs what argv selects. --scale=F makes the
 * numbers of tasks, iterations and seconds F times as large.
 */
int bench_main(int argc, char **argv, const struct bench_system *system,
               void (*more)(void));

/* crossings.c: the rows of processes; for bench_main. */
void bench_crossings_register(const struct bench_system *system);

/* Pin the caller, and what the system starts, to the CPUs of a case, and open
 * it: 0, or -1, and then it is not open. */
struct bench_pinned {
    const char *name;
    int workers;
    int main_cpu, worker_cpu; /* which of the CPUs it has; -1: any */
};
int bench_pinned_open(const struct bench_pinned *c);

/* Close it, unpin the caller, and set the counters p50_us and p99_us of n
 * measurements; or say what was wrong, if that is not NULL. */
struct gbench_state;
void bench_pinned_close(struct gbench_state *state, double *us, size_t n,
                        const char *wrong);

/* A benchmark of round trips; arg is a struct bench_pinned. */
void bench_trip_register(const struct bench_pinned *c);

/* compose.c: those of tasks that wait for each other; for bench_main. */
void bench_compose_register(const struct bench_system *system);

/* timers.c: the last of these workloads; for bench_main. */
void bench_timers_register(const struct bench_system *system);

/* n times the scale, at least 1. */
size_t bench_scaled(size_t n);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_WORKLOAD_H */
