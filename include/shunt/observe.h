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
    SHUNT_SEES_TO = 3   /* what lies between tasks: it settles, calls hooks,
                         * takes from queues */
};

/* Of one worker. The counts begin with the pool and never go back; in a library
 * built with -Dcounters=false they are 0. */
typedef struct shunt_worker_stats {
    int doing;      /* enum shunt_doing */
    size_t queued;  /* in its deque; a few may have been cancelled since */
    uint64_t run;   /* tasks and steps that it started */
    uint64_t stolen; /* that it took from the deques of others */
    uint64_t parked; /* tasks that waited, and left it to others, */
    uint64_t resumed; /* and that went on: of those it has */
    uint64_t slept;  /* how often it found nothing to do and slept, */
    uint64_t woken;  /* and how often that ended because there was work */
} shunt_worker_stats;

/* Of a pool. */
typedef struct shunt_pool_stats {
    unsigned workers; /* of these */
    unsigned sleeping, searching, running;
    size_t queued_outside; /* submitted from outside, not taken up yet */
    size_t queued_ready;   /* became ready outside the workers, likewise */
    size_t queued_workers; /* in the deques of the workers */
    uint64_t submitted; /* tasks from outside that were accepted */
    uint64_t refused;   /* submits that were not, for whatever reason */
    /* The sums of what the workers count. */
    uint64_t run, stolen, parked, resumed, slept, woken;
} shunt_pool_stats;

/*
 * int shunt_stats(pool, shunt_pool_stats *stats, shunt_worker_stats *workers,
 * size_t n): what pool has done and is at, and the same of its first n workers.
 * workers may be NULL if n is 0; beyond the workers that there are it stays
 * unwritten.
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

SHUNT_END_

#endif /* SHUNT_OBSERVE_H */
