/* SPDX-License-Identifier: MIT */
/*
 * place/steer.h - from the figures of a pool to the places of its tasks.
 *
 *     figures of all posts --> windows by site --> policy --> place of a kind
 *
 * Idea. Every 10 ms in which something was sampled the timekeeper adds the
 * figures up, kind by kind. What has come since the last time is the window of
 * a step of the policy (place/policy.h), whose verdict is what submits read
 * from then on. In a pool whose mode is fixed the same is done, so that one can
 * ask what the policy would say, but nothing is placed.
 *
 * Edges.
 *   profile  task/profile.h
 *
 * Crash. All of it is memory of the host, but for the places, each of which is
 * one word.
 */
#ifndef SH_PLACE_STEER_H
#define SH_PLACE_STEER_H

#include <pthread.h>
#include <stdio.h>

#include "place/learned.h"
#include "place/policy.h"
#include "task/pool.h"
#include "worker/sample.h"

/* What is known of a kind. */
struct sh_steered {
    const shunt_task *task; /* NULL: it was not met yet */
    struct sh_policy policy;
    struct sh_window total[SH_SITES]; /* since the pool was made */
    uint64_t crashes;                 /* so many has the policy been told of */
    bool traced;                      /* the trace has a line for it */
};

/* Of a pool that keeps figures; the host's. */
struct sh_steer {
    /* For all that follows. The timekeeper waits for it, so nobody prints while
     * he has it. */
    pthread_mutex_t lock;
    struct sh_steered *kinds;  /* as many as profiles, at the same indexes */
    struct sh_learned learned; /* by other pools: what was loaded */
    FILE *trace;               /* where steps are written, or NULL */
    int trace_error;           /* the first that there was */
};

/* Whether the places of a pool follow its figures; in a fixed mode they do not.
 */
bool sh_steer_places(const struct sh_pool *pool);

/* At which site the worker of that post runs its tasks. */
enum sh_site sh_site_of(const struct sh_pool *pool, unsigned post);

/* Where a kind, of that task, runs now. Signal handlers, too. */
struct sh_place sh_steer_place(struct sh_pool *pool, unsigned profile,
                               const shunt_task *task);

/* What was measured of a kind so far. Signal handlers, too. */
void sh_steer_sum(struct sh_pool *pool, unsigned profile,
                  struct sh_window sums_out[SH_SITES]);

/* All of a kind as it is now; false if there is none with that index. Any
 * thread of the host. */
bool sh_steer_kind(struct sh_pool *pool, unsigned profile,
                   struct sh_steered *kind_out);

/* The calling process may look at the figures of a pool: 0, or SHUNT_E* as it
 * is to be returned, with shunt_last_error saying why. */
int sh_steer_find(shunt_pool *name, struct sh_pool **pool_out);

#endif /* SH_PLACE_STEER_H */
