/* SPDX-License-Identifier: MIT */
/*
 * worker/care.c - when a worker process is replaced by a fresh one although it
 * is well (.worker_tasks_max).
 *
 *     begun <  most                  goes on
 *     begun >= most, none parked     leaves: its main function returns; unless
 *                                    it listens to a promise: goes on
 *     begun >= most, some parked     rests: it goes on with those alone
 *     the same, and nobody else      goes on: what is parked in it may wait for
 *     is at work                     what nobody else would begin
 *
 * Idea. What is parked in a process can go on there alone, so a process that is
 * used up must outlive what it has begun. It rests meanwhile, outside of the
 * protocol of sleepers, as a stand-in does: nobody counts on it, and what is
 * queued in it is stolen. But somebody has to be at work. Where all others rest
 * as well it does as if it were fresh, so that tasks which wait for tasks come
 * to their ends whatever the limit is. A hook of a promise can be called in its
 * process alone; what that promise comes to nobody tells it, so while it has
 * nothing parked it goes on as well. One that stands in for others does not
 * rest so either, since whoever has a stand-in get up counts on that it begins
 * what is queued. A process that leaves is to the warden what one is that was
 * killed while it had nothing to do: nothing fails.
 *
 * Edges.
 *   care     rest: write rests, then read resumed, handed, stop, and those of
 *            others || push on resumed or handed, write stop, or close a post,
 *            then read rests; all seq_cst: one sees the other
 *   claim    worker/run.c
 *   death    process/recover.c
 *
 * Crash. Who dies while it rests is found at its post, which is as fresh when
 * its successor comes (process/recover.c).
 */
#include "future/settle.h"
#include "sync/futex.h"
#include "worker/worker.h"

bool sh_care_takes(struct sh_worker *w, struct sh_record *r, unsigned kind,
                   uint64_t hint)
{
    const shunt_task *task = sh_task_seen(r);

    if (task != w->fits) {
        if (sh_home_wants(w->pool, task)) {
            sh_home_call(w->pool);
            return false;
        }
        if (sh_lane_wants(task) && !sh_is_lane(w)) {
            sh_lane_call(w->pool);
            return false;
        }
        w->fits = task;
    }
    /* Of two that come upon it at a time, both have begun it: so it is a limit,
     * and no number that each of them reaches. */
    w->begun += kind != SH_KIND_DEAL && kind != SH_KIND_RETRY;
    /* Before the claim, so that who repairs knows by whom that was, even if the
     * record has been settled over it: release: claim, death */
    sh_store_rel(&w->post->claiming, hint);
    return true;
}

/* It has begun as many tasks as it may. */
static bool is_used_up(const struct sh_worker *w)
{
    uint64_t most = w->pool->team->worker_tasks_max;

    return SH_UNLIKELY(most != 0 && w->begun >= most) && !sh_is_in_host(w);
}

bool sh_care_leaves(struct sh_worker *w)
{
    if (!is_used_up(w) || w->parked > 0 || sh_self()->served == NULL ||
        sh_promise_listens(w->pool))
        return false;
    /* For what is queued here others are needed. */
    sh_sleep_notify(&w->camp->sleep);
    return true;
}

/* Somebody else takes up what comes, or is about to be started. */
static bool another_works(struct sh_worker *w)
{
    for (unsigned i = 0; i < w->pool->workers; i++)
        if (i != w->index &&
            sh_load_sc(&w->pool->posts[i].rests) == SH_WORKS) /* seq_cst: care
                                                               */
            return true;
    return false;
}

/* There is something that it alone can do. */
static bool is_called(struct sh_worker *w)
{
    return w->resumed != SH_NONE ||
           sh_load_sc(&w->post->resumed) != SH_NONE || /* seq_cst: care */
           sh_is_handed(w->post);
}

/* What is parked in it when the pool ends is for the warden. */
static bool is_ending(struct sh_worker *w)
{
    return sh_load_sc(&w->pool->team->stop) != 0; /* seq_cst: care */
}

bool sh_care_rests(struct sh_worker *w)
{
    _Atomic uint32_t *rests = &w->post->rests;

    if (!is_used_up(w) || w->parked == 0 || sh_is_lane(w) || sh_is_standin(w))
        return false;
    sh_store_sc(rests, SH_RESTS); /* seq_cst: care */
    if (is_called(w) || is_ending(w) || !another_works(w)) {
        sh_store_sc(rests, SH_WORKS); /* seq_cst: care */
        return is_called(w);
    }
    /* What is queued here, others take up. */
    sh_sleep_notify(&w->camp->sleep);
    sh_quiet_notify(w->pool);
    while (sh_load_sc(rests) == SH_RESTS) /* seq_cst: care */
        sh_futex_wait(rests, SH_RESTS, INT64_MAX, true);
    sh_quiet_notify(w->pool);
    return true;
}
