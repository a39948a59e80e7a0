/* SPDX-License-Identifier: MIT */
/*
 * shunt/observe.h - asking a pool what it has done and what it is at.
 *
 *     shunt_pool_stats now;
 *     int rc = shunt_stats(pool, &now, NULL, 0);
 *
 * What is read is not one moment of the pool: it goes on meanwhile. Errors as
 * text are in errors.h (shunt_error_format), failures that nobody has looked
 * at in pool.h (.unobserved).
 */
#ifndef SHUNT_OBSERVE_H
#define SHUNT_OBSERVE_H

#include "shunt/pool.h"

SHUNT_BEGIN_

/* What a worker is doing. */
enum shunt_doing {
    SHUNT_SLEEPS = 0,   /* nothing: it waits to be woken */
    SHUNT_SEARCHES = 1, /* looks for something to do */
    SHUNT_RUNS = 2,     /* the code of a task */
    SHUNT_BETWEEN = 3,  /* tasks: it settles, calls hooks, takes from queues */
    SHUNT_RESTS = 4     /* a stand-in that is not needed now; or a
                         * process that only ends what it has begun */
};

/* Of one worker. The counts begin with the pool and never go back; in a library
 * built with -Dcounters=false they are 0. */
typedef struct shunt_worker_stats {
    int doing;         /* enum shunt_doing */
    size_t queued;     /* in its deque; a few may have been cancelled since */
    uint64_t run;      /* tasks and steps that it started */
    uint64_t stolen;   /* that it took from the deques of others; and spawned
                        * calls, which are not counted in run */
    uint64_t parked;   /* tasks that waited, and left it to others, */
    uint64_t resumed;  /* and that went on */
    uint64_t slept;    /* how often it found nothing to do and slept, */
    uint64_t woken;    /* and how often that ended because there was work, */
    uint64_t vain;     /* which others had taken when it looked */
    uint64_t searched; /* how often it looked through what others have, */
    uint64_t missed;   /* and found nothing, */
    uint64_t lost;     /* or something that another one was faster to take */
    uint64_t calls;    /* spawned calls, of those in stolen */
    uint64_t offered;  /* how often it let others take some that it spawned */
} shunt_worker_stats;

/* Of a pool. */
typedef struct shunt_pool_stats {
    unsigned workers; /* and stand-ins, of which so many do that: */
    unsigned sleeping, searching, running, resting;
    size_t queued_outside; /* submitted from outside, not taken up yet */
    size_t queued_ready;   /* became ready outside the workers, likewise */
    size_t queued_workers; /* in the deques of the workers */
    uint64_t submitted;    /* tasks from outside that were accepted */
    uint64_t refused;      /* submits that were not, for whatever reason */
    /* The sums of what the workers count. */
    uint64_t run, stolen, parked, resumed, slept, woken;
    uint64_t vain, searched, missed, lost, calls, offered;
    /* Of shunt/blocking.h. Workers, of those that run, whose task waits in the
     * kernel now; sections that were begun, by word or by trait; tasks that the
     * pool has seen to do so without a word; how often somebody was woken or
     * started to run in their stead, and how often nobody was to be had. */
    unsigned blocked;
    uint64_t blocking_begun, blocking_noticed, stood_in, blocking_capped;
} shunt_pool_stats;

/*
 * int shunt_stats(pool, shunt_pool_stats *stats, shunt_worker_stats *workers,
 * size_t n): what pool has done and is at, and the same of its first n workers,
 * behind which come those that stand in for workers whose task was given up
 * (.spares) or blocks (.blocking_max), as soon as there are any; processes only
 * as long as they live. workers may be NULL if n is 0; beyond the workers that
 * there are it stays unwritten.
 *
 * Blocks:  never. It reads a few words of every worker.
 * Threads: any.
 * Errors:  SHUNT_EINVAL (pool, stats or workers), SHUNT_EFORKED; nothing is
 *          then written.
 */
SHUNT_API int shunt_stats_sized(shunt_pool *pool, shunt_pool_stats *stats,
                                size_t stats_size, shunt_worker_stats *workers,
                                size_t worker_size, size_t n);
#define shunt_stats(pool, stats, workers, n)                          \
    shunt_stats_sized(pool, stats, sizeof(shunt_pool_stats), workers, \
                      sizeof(shunt_worker_stats), n)

/*
 * How many futures of pool are pending: queued, running, parked, waiting for
 * others, promised. Looks at every record that the pool has ever used, some
 * milliseconds for a million.
 *
 * Blocks:  never.
 * Threads: any.
 * Errors:  SHUNT_EINVAL, SHUNT_EFORKED.
 */
SHUNT_API int64_t shunt_pool_pending(shunt_pool *pool);

/*
 * Write what pool is at, as text, to a descriptor: its workers and queues, who
 * waits for each other in a circle, and every future: its number, what it is,
 * its state, how old it is, where it was made, what it waits for, when its
 * deadline is, and how many wait for it. Scopes are among them. NULL: all pools
 * of the process, also inside a task. How to read it: docs/diagnose.md.
 *
 * The program goes on meanwhile, so what is written of two futures need not be
 * of one moment; but a circle that is named did exist. The first thousand
 * futures are listed, those that have not settled first, and the rest counted.
 *
 * An age is told by a clock of some milliseconds, at which a thread that is
 * quick looks now and then: after a pause that shunt knows nothing of, the
 * first futures that it makes (63 at most) may seem as old as the pause;
 * likewise the time for which a task has run.
 *
 * It takes no lock, and no memory but for a mapping that it gives back: some
 * 40 bytes for each record that the pools have ever used at once. It needs less
 * than 4 KiB of stack. A write that is interrupted goes on; one that would wait
 * on a non-blocking descriptor ends the dump. errno is kept.
 *
 * Blocks:  as write(2) on fd does; shunt_pool_free waits meanwhile.
 * Threads: any; signal handler too.
 * Errors:  -errno of the first write that failed; SHUNT_ENOMEM; SHUNT_EINVAL
 *          (pool); SHUNT_EFORKED.
 */
SHUNT_API int shunt_dump(shunt_pool *pool, int fd);

SHUNT_END_

#endif /* SHUNT_OBSERVE_H */
