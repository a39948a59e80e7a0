/* SPDX-License-Identifier: MIT */
/*
 * worker/standin.c - workers beyond .workers, for those that are stuck, or
 * blocked.
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
 * Of processes it is the same, but that one which is stuck is killed, and not
 * replaced by others. The timekeeper asks the warden for a process more, who
 * looks whether it is still lacking, and forks it at a post behind the lanes.
 * Who has ended leaves his post closed, to the next. An auto pool has stand-ins
 * in either of its camps, and counts them apart.
 *
 * What is parked on a stuck worker stays there, since a task keeps its thread;
 * what is queued there is stolen.
 *
 * Edges.
 *   rest     rest: write rests, then read stuck || timer.c: write stuck, and
 *            have the timekeeper read rests; all seq_cst: one sees the other.
 *            Likewise with stop
 *   care     care.c: here of handed
 *   recruit  call: write recruited, then ring the warden -> warden: take
 *            recruited, then count who is lacking. And the warden: write spared
 *            -> call: read it       whether there are any to be had
 *   stuck    future/timer.c
 *   blocking blocking.c
 *   alarm    blocking.c
 *   active   replace: write active -> whoever looks at all posts: read it
 *   quiet    future/settle.c: here active is lowered
 *
 * Crash. A thread that stands in is of the host, whose death ends the pool. Of
 * a process, only it goes to rest, anybody has it get up, and only the host
 * opens its post, or closes it. Whoever died while it was roused, or before it
 * had looked, or between another's word and his futex, is found by recovery:
 * that clears what his post says, closes it, rouses all who rest, and calls the
 * timekeeper, who looks at what is queued and who is lacking. A post that was
 * opened and got no process is closed by who has tried that.
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

/* Whether a worker that does not rest is to be replaced, for good or until it
 * is back. A process that is stuck is killed, and its successor is at work. */
static void count_up(struct sh_camp *camp, struct sh_post *post,
                     struct parts *n)
{
    struct sh_pool *pool = camp->pool;

    if (!sh_camp_is_remote(pool, camp) && sh_post_is_off(post))
        n->stuck++;
    else if (pool->team->blocking_max > 0 && sh_post_blocks(post))
        n->blocked++;
    else
        n->at_work++;
}

static void count(struct sh_camp *camp, struct parts *n)
{
    struct sh_pool *pool = camp->pool;
    bool remote = sh_camp_is_remote(pool, camp);

    n->at_work = n->stuck = n->blocked = n->up = n->unfit = 0;
    for (unsigned i = camp->first; i < sh_camp_end(pool, camp); i++) {
        struct sh_post *post = &pool->posts[i];
        uint32_t rests = rests_of(post);

        if (!sh_post_pops(pool, post))
            continue;
        if (i >= camp->spare) {
            /* A process that has ended leaves its post to the next one. */
            n->up += remote ? rests == SH_WORKS : rests != SH_RESTS;
            n->unfit += !remote && rests == SH_UNFIT;
        } else if (remote && rests != SH_WORKS) {
            n->at_work++; /* nobody stands in for one that is used up */
        }
        if (rests == SH_WORKS)
            count_up(camp, post, n);
    }
}

static unsigned count_at_work(struct sh_camp *camp)
{
    struct parts n;

    count(camp, &n);
    return n.at_work;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Whether one more may be up: each kind of absence has a number of its own. */
static bool may_add(const struct sh_camp *camp, const struct parts *n)
{
    const struct sh_team *team = camp->pool->team;

    return n->up < least(n->stuck + n->unfit, team->spares) +
                       least(n->blocked + n->unfit, team->blocking_max);
}

/* One that rests gets up. */
static bool rouse_one(struct sh_camp *camp)
{
    struct sh_pool *pool = camp->pool;

    for (unsigned i = camp->spare; i < sh_camp_end(pool, camp); i++)
        if (sh_post_rouse(pool, &pool->posts[i]))
            return true;
    return false;
}

/* Where sh_camp_end reads. */
static _Atomic uint32_t *end_of(struct sh_camp *camp)
{
    struct sh_pool *pool = camp->pool;

    return camp == &pool->camps[SH_OWN_CAMP] ? &pool->active
                                             : &pool->active_guests;
}

/* A new one, of a camp of threads. */
static bool start_one(struct sh_camp *camp)
{
    struct sh_pool *pool = camp->pool;
    unsigned active = sh_camp_end(pool, camp);

    if (active == camp->end)
        return false;
    /* Before it runs, since it is looked for from then on. */
    sh_sleep_admit(&camp->sleep, active + 1);
    sh_worker_place(pool, active);
    sh_store_sc(&pool->posts[active].rests, SH_WORKS); /* seq_cst: rest */
    sh_store_rel(end_of(camp), active + 1);            /* release: active */
    if (sh_worker_start(pool, active) == 0) {
        pool->team->started++;
        return true;
    }
    sh_store_sc(end_of(camp), active); /* seq_cst: active, quiet */
    /* A shutdown that has just looked counts on it. */
    sh_quiet_notify(pool);
    return false;
}

/* One more at work: one that rests, or a new one. False if none can be had. */
static bool add_one(struct sh_camp *camp)
{
    return rouse_one(camp) || start_one(camp);
}

/* Those who are blocked will be back, and are replaced when there is something
 * to do: blocking.c. */
void sh_worker_replace(struct sh_pool *pool)
{
    struct sh_camp *camp = sh_host_camp(pool);
    struct parts n;

    do
        count(camp, &n);
    while (n.at_work + n.blocked < pool->workers && may_add(camp, &n) &&
           add_one(camp));
    if (n.blocked > 0)
        sh_store_sc(&pool->time.called, 1); /* seq_cst: alarm */
}

enum sh_lack sh_standins_lack(struct sh_camp *camp)
{
    struct sh_pool *pool = camp->pool;
    struct parts n;

    count(camp, &n);
    /* Of an auto pool whose own threads are yet to come, nobody is. */
    if (n.at_work >= pool->workers ||
        sh_camp_end(pool, camp) < camp->first + pool->workers)
        return SH_LACK_NONE;
    return may_add(camp, &n) ? SH_LACK_ONE : SH_LACK_CAPPED;
}

/* Ask the warden for a process. False if it has none to give, or had none when
 * it was asked last. */
static bool recruit(struct sh_pool *pool)
{
    uint32_t spared = sh_load_sc(&pool->spared); /* seq_cst: recruit */

    if (spared == SH_SPARED_NEVER)
        return false;
    sh_store_sc(&pool->recruited, 1); /* seq_cst: recruit */
    pool->team->crew->relieve(pool);
    return spared == SH_SPARED_MAY;
}

bool sh_standin_call(struct sh_camp *camp, bool add)
{
    if (sh_standins_lack(camp) != SH_LACK_ONE)
        return false;
    if (!rouse_one(camp)) {
        if (!add)
            return false;
        if (sh_camp_is_remote(camp->pool, camp))
            return recruit(camp->pool);
        if (!start_one(camp))
            return false;
    }
    sh_add_rlx(&camp->pool->stood_in, 1); /* relaxed: a figure */
    return true;
}

/* Set up a post where nobody has been. */
static bool set_up_post(struct sh_pool *pool, unsigned i)
{
    struct sh_worker *w = &pool->team->workers[i];

    if (w->pool == NULL) {
        sh_worker_place(pool, i);
        (void)sh_worker_prepare(pool, i);
    }
    return sh_stacks_reserve(&w->stacks);
}

uint32_t sh_standin_open(struct sh_camp *camp)
{
    struct sh_pool *pool = camp->pool;
    unsigned end = sh_camp_end(pool, camp), i = camp->spare;

    while (i < end && !sh_post_is_closed(&pool->posts[i]))
        i++;
    if (i == camp->end || (i >= end && !set_up_post(pool, i)))
        return SH_NONE;
    sh_sleep_admit(&camp->sleep, i + 1);
    sh_post_open(pool, i);
    return i;
}

/* Whether there is one worker more at work than there should be, when this one
 * has nothing that others could not do. */
static bool may_rest(struct sh_worker *w)
{
    return w->parked == 0 && w->resumed == SH_NONE && w->stranded == NULL &&
           sh_load_rlx(&w->post->resumed) == SH_NONE && /* relaxed: nothing is
                                                         * parked here */
           sh_deque_size(&w->post->deque) == 0 &&
           count_at_work(w->camp) > w->pool->workers;
}

/* Others have left something to its process. */
static bool is_handed(struct sh_worker *w)
{
    return sh_camp_is_remote(w->pool, w->camp) && sh_is_handed(w->post);
}

void sh_standin_rest(struct sh_worker *w)
{
    _Atomic uint32_t *rests = &w->post->rests;

    if (!may_rest(w))
        return;
    sh_store_sc(rests, SH_RESTS); /* seq_cst: rest, care */
    if (count_at_work(w->camp) < w->pool->workers || is_handed(w))
        sh_store_sc(rests, SH_WORKS); /* seq_cst: rest, care */
    /* Who was about to wake us, we let look at it. */
    sh_sleep_notify(&w->camp->sleep);
    sh_quiet_notify(w->pool);
    while (sh_load_sc(rests) == SH_RESTS &&       /* seq_cst: rest */
           sh_load_sc(&w->pool->team->stop) == 0) /* seq_cst: rest */
        sh_futex_wait(rests, SH_RESTS, INT64_MAX, w->pool->shared);
    sh_quiet_notify(w->pool);
    sh_blocking_arrived(w->camp);
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
    _Atomic uint32_t *end = end_of(sh_camp_at(pool, i));
    uint32_t active = sh_load_sc(end); /* seq_cst: active */

    sh_store_sc(&pool->posts[i].rests, SH_WORKS); /* seq_cst: rest */
    while (active <= i && !sh_cas_sc(end, &active, i + 1)) /* seq_cst: active */
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
         i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        (void)sh_post_rouse(pool, &pool->posts[i]);
}
