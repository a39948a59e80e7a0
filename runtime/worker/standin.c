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
 * Those stand in, too, for workers that are blocked: blocking.c has when. There
 * are .blocking_max for these.
 *
 * What is parked on a stuck worker stays there, since a task keeps its thread;
 * what is queued there is stolen.
 *
 * Edges.
 *   rest     rest: write rests, then read stuck || timer.c: write stuck, and
 *            have the timekeeper read rests; all seq_cst: one sees the other.
 *            Likewise with stop
 *   stuck    future/timer.c
 *   blocking blocking.c
 *   alarm    blocking.c
 *   active   replace: write active -> whoever looks at all posts: read it
 *   quiet    future/settle.c: here active is lowered
 *
 * Crash. Threads of the host stand in, whose death ends the pool. A worker
 * process that is stuck is killed instead (docs/decisions/0016).
 */
#include <pthread.h>

#include "future/timer.h"
#include "sync/futex.h"
#include "worker/blocking.h"

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

bool sh_post_blocks(struct sh_post *post)
{
    uint64_t blocked = sh_load_sc(&post->blocked); /* seq_cst: blocking, rest */

    return blocked == SH_SAYS_SO ||
           (blocked != 0 &&
            sh_load_sc(&post->running) == blocked); /* seq_cst: blocking */
}

/* How many workers are at what. */
struct parts {
    unsigned at_work; /* or would be if there were any, */
    unsigned stuck, blocked;
    unsigned up;    /* stand-ins that do not rest, whatever they do; */
    unsigned unfit; /* those of them that never will */
};

static void count(struct sh_pool *pool, struct parts *n)
{
    struct sh_camp *camp = sh_blocking_camp(pool);

    n->at_work = n->stuck = n->blocked = n->up = n->unfit = 0;
    for (unsigned i = camp->first; i < sh_camp_end(pool, camp); i++) {
        struct sh_post *post = &pool->posts[i];
        uint32_t rests = rests_of(post);

        if (i >= camp->first + pool->workers) {
            n->up += rests != SH_RESTS;
            n->unfit += rests == SH_UNFIT;
        }
        if (rests != SH_WORKS)
            continue;
        if (sh_post_is_off(post))
            n->stuck++;
        else if (pool->team->blocking_max > 0 && sh_post_blocks(post))
            n->blocked++;
        else
            n->at_work++;
    }
}

static unsigned count_at_work(struct sh_pool *pool)
{
    struct parts n;

    count(pool, &n);
    return n.at_work;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Whether one more may be up: each kind of absence has a number of its own. */
static bool may_add(const struct sh_pool *pool, const struct parts *n)
{
    const struct sh_team *team = pool->team;

    return n->up < least(n->stuck + n->unfit, team->spares) +
                       least(n->blocked + n->unfit, team->blocking_max);
}

/* One that rests gets up. */
static bool rouse_one(struct sh_pool *pool)
{
    for (unsigned i = sh_blocking_camp(pool)->first + pool->workers;
         i < sh_pool_active(pool); i++)
        if (sh_post_rouse(pool, &pool->posts[i]))
            return true;
    return false;
}

/* One more at work: one that rests, or a new one. False if none can be had. */
static bool add_one(struct sh_pool *pool)
{
    struct sh_team *team = pool->team;
    unsigned active = sh_pool_active(pool);

    if (rouse_one(pool))
        return true;
    if (active == team->count)
        return false;
    /* Before it runs, since it is looked for from then on. */
    sh_sleep_admit(&sh_blocking_camp(pool)->sleep, active + 1);
    sh_store_sc(&pool->posts[active].rests, SH_WORKS); /* seq_cst: rest */
    sh_store_rel(&pool->active, active + 1);           /* release: active */
    if (sh_worker_start(pool, active) == 0) {
        team->started++;
        return true;
    }
    sh_store_sc(&pool->active, active); /* seq_cst: active, quiet */
    /* A shutdown that has just looked counts on it. */
    sh_quiet_notify(pool);
    return false;
}

/* Those who are blocked will be back, and are replaced when there is something
 * to do: blocking.c. */
void sh_worker_replace(struct sh_pool *pool)
{
    struct parts n;

    do
        count(pool, &n);
    while (n.at_work + n.blocked < pool->workers && may_add(pool, &n) &&
           add_one(pool));
    if (n.blocked > 0)
        sh_store_sc(&pool->time.called, 1); /* seq_cst: alarm */
}

enum sh_lack sh_standins_lack(struct sh_pool *pool)
{
    struct parts n;

    count(pool, &n);
    /* Of an auto pool whose own threads are yet to come, nobody is. */
    if (n.at_work >= pool->workers ||
        sh_pool_active(pool) < sh_blocking_camp(pool)->first + pool->workers)
        return SH_LACK_NONE;
    return may_add(pool, &n) ? SH_LACK_ONE : SH_LACK_CAPPED;
}

bool sh_standin_call(struct sh_pool *pool, bool add)
{
    if (sh_standins_lack(pool) != SH_LACK_ONE ||
        !(add ? add_one(pool) : rouse_one(pool)))
        return false;
    sh_add_rlx(&pool->stood_in, 1); /* relaxed: a figure */
    return true;
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
    sh_sleep_notify(&w->camp->sleep);
    sh_quiet_notify(w->pool);
    while (sh_load_sc(rests) == SH_RESTS &&       /* seq_cst: rest */
           sh_load_sc(&w->pool->team->stop) == 0) /* seq_cst: rest */
        sh_futex_wait(rests, SH_RESTS, INT64_MAX, w->pool->shared);
    sh_quiet_notify(w->pool);
    sh_blocking_arrived(w->pool);
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
