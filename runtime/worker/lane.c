/* SPDX-License-Identifier: MIT */
/*
 * worker/lane.c - tasks that want no other beside them in their worker process
 * (.exclusive): lanes, processes beside the workers, run them and nothing else.
 *
 *     process   takes up the hint of such a task | leaves it READY, moves
 *               secluded | wakes a lane, or has one started
 *     lane      looks through the table for such tasks that are READY, one at a
 *               time: not while one of its own waits
 *
 * Idea. A worker has tasks parked in it nearly always, and what is parked may
 * wait for the very task that wants to be alone: so no worker could promise to
 * become empty. A lane is empty whenever its task has ended. It sleeps as the
 * host's own worker does (home.c), outside of the protocol of sleepers, and
 * what its task submits lies in its deque for the workers to steal. There are
 * as many lanes as workers at most, and none before there is such a task; the
 * warden starts them. If all of them have a task that waits, and there is one
 * more, then that runs beside one that waits, since it may be what that waits
 * for.
 *
 * Edges.
 *   accepted task/handle.c
 *   seclude  process: move secluded, then read rests || lane: write waits and
 *            rests, then read secluded, resumed, handed, stop, and the waits of
 *            others; all seq_cst: one sees the other
 *   quiet    future/settle.c
 *
 * Crash. As home.c: a death moves rescan, and what is READY is come upon again.
 * A lane that dies is replaced as any worker.
 */
#include "future/timer.h"
#include "sync/futex.h"
#include "worker/worker.h"

/* -- who calls -- */

/* Behind the last lane that was started. */
static unsigned lanes_active(struct sh_pool *pool)
{
    unsigned end = sh_camp_end(pool, &pool->camps[SH_OWN_CAMP]);

    if (end < sh_lanes_end(pool))
        return end;
    /* The posts behind them may be in use, too. */
    end = sh_lanes_end(pool);
    while (end > pool->workers + 1 && sh_post_is_closed(&pool->posts[end - 1]))
        end--;
    return end;
}

bool sh_lane_wants(const shunt_task *task)
{
    return task != NULL && task->traits_.exclusive;
}

/* Wake one that has nothing to do. */
static bool rouse_idle(struct sh_pool *pool)
{
    for (unsigned i = pool->workers + 1; i < lanes_active(pool); i++)
        if (sh_load_sc(&pool->posts[i].waits) == 0 && /* seq_cst: seclude */
            sh_post_rouse(pool, &pool->posts[i]))
            return true;
    return false;
}

void sh_lane_call(struct sh_pool *pool)
{
    sh_add_sc(&pool->secluded, 1); /* seq_cst: seclude */
    if (rouse_idle(pool))
        return;
    /* Perhaps all have one that waits. */
    for (unsigned i = pool->workers + 1; i < lanes_active(pool); i++)
        (void)sh_post_rouse(pool, &pool->posts[i]);
    if (lanes_active(pool) < sh_lanes_end(pool)) {
        sh_add_sc(&pool->lanes_wanted, 1); /* seq_cst: seclude */
        sh_time_recruit(pool);
    }
}

/* -- the lane -- */

/* Not if it has a task that waits, unless every lane that there can be has. */
static bool may_begin(struct sh_worker *w)
{
    struct sh_pool *pool = w->pool;

    for (unsigned i = pool->workers + 1; i < sh_lanes_end(pool); i++)
        if (w->parked > 0 && i != w->index &&
            sh_load_sc(&pool->posts[i].waits) == 0) /* seq_cst: seclude */
            return false;
    return true;
}

uint64_t sh_lane_find(struct sh_worker *w)
{
    struct sh_pool *pool = w->pool;
    uint32_t at = sh_load_rlx(&w->rescan_at); /* relaxed: ours */
    uint32_t used = sh_table_used(&pool->records);
    uint64_t hint = 0;

    w->tick++;
    if (!may_begin(w))
        return 0;
    if (at == 0) {
        w->rescan_now = sh_load_sc(&pool->secluded); /* seq_cst: seclude */
        if (w->rescan_now == sh_load_rlx(&w->rescan_done)) /* relaxed: ours */
            return 0;
        at = 1;
    }
    for (; at < used && hint == 0; at++) {
        struct sh_record *r = sh_record_at(pool, at);
        uint64_t word = sh_load_acq(&r->state); /* acquire: accepted */
        const shunt_task *task = sh_task_seen(r);

        /* One that was placed on a thread is none of ours. */
        if (sh_phase_of(word) == SH_READY && !sh_home_wants(pool, task) &&
            sh_camp_of(pool, r) == w->camp && sh_lane_wants(task))
            hint = sh_hint(at, sh_generation_of(word));
    }
    if (at >= used && hint == 0) {
        at = 0;
        sh_store_rlx(&w->rescan_done, w->rescan_now); /* relaxed: ours */
    }
    sh_store_rlx(&w->rescan_at, at); /* relaxed: ours */
    return hint;
}

/* seq_cst: seclude, of all that is read */
static bool is_called(struct sh_worker *w)
{
    struct sh_pool *pool = w->pool;
    uint64_t done = sh_load_rlx(&w->rescan_done);    /* relaxed: ours */
    bool more = sh_load_rlx(&w->rescan_at) != 0 ||   /* relaxed: ours */
                sh_load_sc(&pool->secluded) != done; /* seq_cst: seclude */

    return (more && may_begin(w)) ||
           sh_load_sc(&w->post->resumed) != SH_NONE || /* seq_cst: seclude */
           sh_is_handed(w->post) ||
           sh_load_sc(&pool->team->stop) != 0; /* seq_cst: seclude */
}

void sh_lane_rest(struct sh_worker *w)
{
    _Atomic uint32_t *rests = &w->post->rests;

    sh_store_sc(&w->post->waits, w->parked > 0); /* seq_cst: seclude */
    sh_store_sc(rests, SH_RESTS);                /* seq_cst: seclude */
    if (is_called(w))
        sh_store_sc(rests, SH_WORKS); /* seq_cst: seclude */
    sh_quiet_notify(w->pool);
    while (sh_load_sc(rests) == SH_RESTS) /* seq_cst: seclude */
        sh_futex_wait(rests, SH_RESTS, INT64_MAX, true);
    sh_store_sc(&w->post->waits, 0); /* seq_cst: seclude */
    sh_quiet_notify(w->pool);
}
