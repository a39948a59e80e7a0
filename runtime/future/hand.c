/* SPDX-License-Identifier: MIT */
/*
 * future/hand.c - what a process of a pool cannot do itself, and leaves to
 * another: an edge that leads out of the pool, the report of a failure, and the
 * settling of a task whose library only the host has, to the host; a function
 * that is to be called, to the process that it is of.
 *
 *     settler  settle, up to the edge   | push the record on handed | wake
 *     other    take all that was handed | go on where the settler stopped
 *
 * Idea. These steps can be done again by anyone, so a record is handed over as
 * it is, in SETTLING, COMPLETE or RELEASING: the other does that step once more,
 * and what has been done already makes no difference.
 *
 * A listener of a promise names a function and memory of the process that has
 * set it, so it is handed to that, by a list of its own: the record may be
 * settled, and handed over, meanwhile. BUSY keeps it until it was called.
 *
 * Edges.
 *   handed   settler: push on handed -> other: take all         the record
 *   alarm    future/timer.c
 *   care     worker/care.c
 *   seclude  worker/lane.c
 *   quiet    the host: write hears, then take, do, clear hears, move quiet ||
 *            worker/shutdown.c: read what was handed, then hears
 *   settled  future/settle.c
 *   sleep    sync/sleep.c
 *
 * Crash. A record is still its worker's when it is pushed: whoever repairs
 * what a dead worker left takes the list first, and then does the rest of the
 * steps that the worker was at. Listeners of a dead process are not called. Who
 * dies between taking a listener and handing it over leaves it and its record
 * behind, until the pool goes.
 */
#include "future/settle.h"
#include "future/timer.h"

static _Atomic uint32_t *list_of(struct sh_pool *pool, unsigned place)
{
    return place == 0 ? &pool->handed : &pool->posts[place - 1].handed;
}

static _Atomic uint64_t *hooks_of(struct sh_pool *pool, unsigned place)
{
    return place == 0 ? &pool->hooks : &pool->posts[place - 1].hooks;
}

static void ring(struct sh_pool *pool, unsigned place)
{
    if (place == 0) {
        sh_time_ring_idle(pool);
        return;
    }
    sh_sleep_wake(&pool->sleep, place - 1);
    (void)sh_post_rouse(pool, &pool->posts[place - 1]);
}

void sh_hand_over(struct sh_pool *pool, struct sh_record *r, unsigned place)
{
    _Atomic uint32_t *list = list_of(pool, place);
    uint32_t head = sh_load_rlx(list); /* relaxed: the CAS validates it */

    SH_ASSERT(place != sh_place_in(pool));
    do {
        sh_store_rlx(&r->link, head); /* relaxed: published by the CAS */
    } while (!sh_cas_sc(list, &head, sh_index_of(pool, r))); /* seq_cst: handed,
                                                              * alarm, sleep,
                                                              * care */
    ring(pool, place);
}

void sh_hand_hook(struct sh_pool *pool, void *listener, uint64_t *next,
                  unsigned place)
{
    _Atomic uint64_t *list = hooks_of(pool, place);

    *next = sh_load_rlx(list); /* relaxed: the CAS validates it */
    /* seq_cst: handed, alarm, sleep, care, seclude */
    while (!sh_cas_sc(list, next, (uint64_t)(uintptr_t)listener))
        continue;
    ring(pool, place);
}

static void do_handed(struct sh_pool *pool, unsigned place)
{
    uint32_t i =
        sh_xchg_sc(list_of(pool, place), SH_NONE); /* seq_cst: handed */
    struct sh_work work = { 0 };

    while (i != SH_NONE) {
        struct sh_record *r = sh_record_at(pool, i);
        /* acquire: settled */
        enum sh_phase phase = sh_phase_of(sh_load_acq(&r->state));

        i = sh_load_rlx(&r->link); /* relaxed: ours now */
        if (phase == SH_RELEASING)
            sh_work_free(&work, pool, r);
        else
            sh_work_settle(&work, pool, r);
        sh_work_do(&work);
    }
    /* seq_cst: handed */
    sh_promise_hear(&work, pool, sh_xchg_sc(hooks_of(pool, place), 0));
}

void sh_handed_do(struct sh_pool *pool, unsigned place)
{
    if (place > 0) {
        do_handed(pool, place);
        return;
    }
    if (!sh_is_left_to_host(pool))
        return;
    /* Of a worker it is seen that it is not idle. */
    sh_store_sc(&pool->hears, 1); /* seq_cst: quiet */
    do_handed(pool, place);
    sh_store_sc(&pool->hears, 0); /* seq_cst: quiet */
    sh_quiet_notify(pool);
}

bool sh_is_left_to_host(struct sh_pool *pool)
{
    return sh_load_sc(&pool->handed) != SH_NONE || /* seq_cst: quiet, alarm */
           sh_load_sc(&pool->hooks) != 0 ||        /* seq_cst: quiet, alarm */
           sh_load_sc(&pool->hears) != 0;          /* seq_cst: quiet */
}
