/* SPDX-License-Identifier: MIT */
/*
 * worker/standin.c - workers beyond .workers, for those that are stuck.
 *
 * Idea. When a task is settled at its deadline its code may run on, and keeps
 * its worker. Then somebody else runs in that worker's stead, so that a pool
 * has as many workers at work as it was made with: one that rests, or a new
 * one, up to a cap. When the code has returned there is one too many, and a
 * stand-in that has nothing left to do rests. It rests outside of the protocol
 * of sleepers: it is neither IDLE nor SEARCHING, so nobody counts on it.
 *
 * What is parked on a stuck worker stays there, since a task keeps its thread;
 * what is queued there is stolen.
 *
 * Edges.
 *   rest     rest: write rests, then read stuck || timer.c: write stuck, and
 *            have the timekeeper read rests; all seq_cst: one sees the other.
 *            Likewise with stop
 *   stuck    future/timer.c
 *   active   replace: write active -> whoever looks at all posts: read it
 *   quiet    future/settle.c: here active is lowered
 *
 * Crash. Threads of the host stand in, whose death ends the pool. A worker
 * process that is stuck is killed instead (docs/decisions/0016).
 */
#include <pthread.h>

#include "future/timer.h"
#include "sync/futex.h"
#include "worker/worker.h"

static uint32_t rests_of(struct sh_post *post)
{
    return sh_load_sc(&post->rests); /* seq_cst: rest */
}

bool sh_post_rests(struct sh_post *post)
{
    return rests_of(post) != SH_WORKS;
}

bool sh_post_is_off(struct sh_post *post)
{
    uint64_t stuck = sh_load_sc(&post->stuck); /* seq_cst: rest */

    return rests_of(post) != SH_WORKS ||
           (stuck != 0 &&
            sh_load_sc(&post->running) == stuck); /* seq_cst: stuck, rest */
}

/* How many workers are at work, or would be if there were any. */
static unsigned count_at_work(struct sh_pool *pool)
{
    unsigned n = 0;

    for (unsigned i = 0; i < sh_pool_active(pool); i++)
        n += !sh_post_is_off(&pool->posts[i]);
    return n;
}

/* One more at work: one that rests, or a new one. False if none can be had. */
static bool add_one(struct sh_pool *pool)
{
    struct sh_team *team = pool->team;
    unsigned active = sh_pool_active(pool);

    for (unsigned i = pool->workers; i < active; i++)
        if (sh_post_rouse(pool, &pool->posts[i]))
            return true;
    if (active == team->count)
        return false;
    /* Before it runs, since it is looked for from then on. */
    sh_store_rel(&pool->active, active + 1); /* release: active */
    if (sh_worker_start(pool, active) == 0) {
        team->started++;
        return true;
    }
    sh_store_sc(&pool->active, active); /* seq_cst: active, quiet */
    /* A shutdown that has just looked counts on it. */
    sh_quiet_notify(pool);
    return false;
}

void sh_worker_replace(struct sh_pool *pool)
{
    unsigned n = count_at_work(pool);

    while (n < pool->workers && add_one(pool))
        n++;
}

/* Whether there is one worker more at work than there should be, when this one
 * has nothing that others could not do. */
static bool may_rest(struct sh_worker *w)
{
    return w->parked == 0 && w->resumed == SH_NONE &&
           sh_load_rlx(&w->post->resumed) == SH_NONE && /* relaxed: nothing is
                                                         * parked here */
           sh_deque_size(&w->post->deque) == 0 &&
           count_at_work(w->pool) > w->pool->workers;
}

void sh_standin_rest(struct sh_worker *w)
{
    _Atomic uint32_t *rests = &w->post->rests;

    if (!may_rest(w))
        return;
    sh_store_sc(rests, SH_RESTS); /* seq_cst: rest */
    if (count_at_work(w->pool) < w->pool->workers)
        sh_store_sc(rests, SH_WORKS); /* seq_cst: rest */
    /* Who was about to wake us, we let look at it. */
    sh_sleep_notify(&w->pool->sleep);
    sh_quiet_notify(w->pool);
    while (sh_load_sc(rests) == SH_RESTS &&       /* seq_cst: rest */
           sh_load_sc(&w->pool->team->stop) == 0) /* seq_cst: rest */
        sh_futex_wait(rests, SH_RESTS, INT64_MAX, w->pool->shared);
    sh_quiet_notify(w->pool);
}

bool sh_post_is_starting(struct sh_pool *pool, struct sh_post *post)
{
    return pool->team->init != NULL &&
           sh_load_sc(&post->unready) != 0 && /* seq_cst: quiet */
           rests_of(post) != SH_UNFIT;
}

void sh_post_close(struct sh_post *post)
{
    sh_store_sc(&post->rests, SH_UNFIT); /* seq_cst: rest */
}

void sh_post_open(struct sh_pool *pool, unsigned i)
{
    uint32_t active = sh_pool_active(pool);

    sh_store_sc(&pool->posts[i].rests, SH_WORKS); /* seq_cst: rest */
    while (active <= i &&
           !sh_cas_sc(&pool->active, &active, i + 1)) /* seq_cst: active */
        continue;
}

void sh_standin_unfit(struct sh_worker *w)
{
    sh_post_close(w->post);
    sh_time_recruit(w->pool); /* another, if there is one */
}

void sh_standins_rouse(struct sh_pool *pool)
{
    /* Of a process pool any worker may rest: care.c. */
    for (unsigned i = pool->shared ? 0 : pool->workers;
         i < sh_pool_active(pool); i++)
        (void)sh_post_rouse(pool, &pool->posts[i]);
}
