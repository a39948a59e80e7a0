/* SPDX-License-Identifier: MIT */
/*
 * worker/sample.h - figures of the kinds of tasks, from a few of their runs.
 *
 *     run run run [run] run run run run [run] ...     each [] a sample
 *
 * Idea. A task may cost less than a look at the clock, so most runs only count
 * down. A run that is sampled has its service time taken, and stands for as
 * many as the worker has begun since the last one. Between two there are 64 us
 * at least, a hundred times what one costs, unless that would be more than 512
 * runs; what takes longer is sampled each time. Before a worker sleeps it
 * counts the runs since the last sample as of the same kind, so that in a pool
 * at rest all are counted. When it wakes up it samples one of the first runs:
 * which one is drawn from as many as it did the last time, so that what always
 * comes second is seen as well. What is long, or hardly known, an auto pool has
 * looked at each time, beside this count and whatever comes between: in its
 * processes the record says so; on its threads the worker knows one kind that
 * is long and is tried there. Now and then a sample is deep: the kernel is
 * asked, too, which costs ten times as much, and may take a fifth as much of a
 * worker's time.
 *
 * A tally has one writer: the worker at its post. The host adds those of all
 * posts up (place/steer.c), and all that grows there only grows.
 *
 * What runs inline, on top of who awaits it, is counted apart; and its time is
 * also a part of his, since it runs where he does.
 *
 * What is on its way of a sample lies in the frame of the run that it is of, so
 * that others may run on its worker meanwhile: while it is parked, the sample
 * stands still.
 *
 * Edges.
 *   sampled  worker: write sampled, then read steer_ns || timekeeper: write
 *            steer_ns, then read sampled; all seq_cst: figures are looked at
 *            when there are any, and at no other time
 *
 * Crash. A process that dies in the middle of a tally leaves one that is off by
 * one sample. Nobody repairs it: it is a figure. If it dies before it has rung,
 * whoever recovers what it has left rings.
 */
#ifndef SH_WORKER_SAMPLE_H
#define SH_WORKER_SAMPLE_H

#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "task/profile.h"

struct sh_pool;
struct sh_run;
struct sh_worker;

/* So much time there is between two samples, if runs are short; but not more
 * runs, on the average. And if they take so long, each is one. */
#define SH_SAMPLE_REST_NS 64000
#define SH_SAMPLE_EVERY 512u
#define SH_SAMPLE_EACH_NS 10000
/* Of those after a sleep one of so many, at most, is sampled. */
#define SH_SAMPLE_WOKEN 16u
/* Of a kind that takes so long on the average, each sample is deep; of others
 * one in so many is. But after one for which the kernel took a nanosecond there
 * is none for so many, since what awaits thousands of short ones is long, too;
 * what takes it longer than it can was a loss of the CPU. */
#define SH_DEEP_EACH_NS 20000
#define SH_DEEP_EVERY 64u
#define SH_DEEP_REST 512
#define SH_DEEP_NS_MAX 10000

/* A worker's own: one of what its loop runs, and one of what these runs have
 * run inline, so that many of the latter do not hide the former. */
struct sh_sampler {
    uint32_t left;    /* runs until one is sampled, which is the last of them */
    uint32_t weight;  /* how many that will have been */
    uint32_t every;   /* what that is drawn from */
    uint32_t awake;   /* runs since it slept, up to the last sample */
    uint32_t shallow; /* samples since one was deep */
    int64_t at_ns;    /* when the last one began; -1: it has slept since */
    int64_t deep_ns;  /* there is none before; [0]: of both */
    struct sh_figures *last; /* of the kind of the last one; NULL: none yet */
};

/* What the kernel says of a thread. */
struct sh_usage {
    uint64_t cpu_ns, system_ns, faults, sleeps;
};

/* A sample that is on its way. */
struct sh_sample {
    struct sh_figures *tally; /* NULL: there is none */
    int64_t since_ns;    /* when the function was entered, or gone on with */
    uint64_t service_ns; /* before that */
    uint64_t queued_ns;
    uint32_t weight;
    bool each;    /* beside the count of its worker */
    bool spoiled; /* it counts, and is not measured */
    bool deep, parked;
    struct sh_usage since, used; /* of a deep one: the same */
};

/* The run is the one whose turn it is, or one of a kind of which each is: its
 * function is called now; and has returned. */
SH_COLD void sh_sample_begin(struct sh_sample *s, struct sh_worker *w,
                             struct sh_run *run, unsigned kind, bool each);
SH_COLD void sh_sample_end(struct sh_sample *s, struct sh_run *run);

/* A run that may block begins, or one that may be a sample, or both. */
SH_APART void sh_sample_unusual(struct sh_worker *w, struct sh_run *run,
                                struct sh_sample *s, unsigned kind);

/* In the middle of a run that is sampled another has run on top of it, which it
 * awaits: a part of it. If anything was parked meanwhile its time is not known.
 */
static inline void sh_sample_lay_beneath(struct sh_sample *s, bool parked)
{
    s->parked = true;
    s->spoiled = s->spoiled || parked;
}

/* Others run on the worker for a while, in the middle of a run that is sampled;
 * and no more. */
SH_COLD void sh_sample_pause(struct sh_sample *s);
SH_COLD void sh_sample_resume(struct sh_sample *s);

/* A worker of a pool that keeps figures is about to sleep. */
SH_COLD void sh_sample_rest(struct sh_worker *w);

/* The task of this run has failed by itself. */
void sh_sample_failed(struct sh_run *run);

/* Have a new pool of so many posts keep figures: false if there is no memory.
 * And the end of any pool, which may have none, or only a part. */
bool sh_sample_init(struct sh_pool *pool, unsigned posts);
void sh_sample_fini(struct sh_pool *pool);

/* Of a folder below (place/steer.c): who looks at the figures. All are called
 * in the host. */
struct sh_pilot {
    bool (*init)(struct sh_pool *pool); /* false: there is no memory */
    void (*step)(struct sh_pool *pool); /* by the timekeeper */
    void (*fini)(struct sh_pool *pool); /* nobody else is left */
};
extern const struct sh_pilot sh_pilot_of_pools;

/* How long the timekeeper leaves figures alone. */
#define SH_STEER_NS 10000000

#endif /* SH_WORKER_SAMPLE_H */
