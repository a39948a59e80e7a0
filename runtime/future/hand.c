/* SPDX-License-Identifier: MIT */
/*
 * future/hand.c - what a process of a pool cannot do itself, and leaves to
 * another: an edge that leads out of the pool, the report of a failure, the
 * settling of a task whose library only the host has, and keepers that are
 * postponed (keep.c), to the host; a function that is to be called, to the
 * process that it is of.
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
 *   handed   settler: push on handed, or write look -> other: take all
 *   alarm    future/timer.c
 *   care     worker/care.c
 *   seclude  worker/lane.c
 *   quiet    the host: write hears, then take, do, clear hears, move quiet ||
 *            worker/shutdown.c: read what was handed, look, then hears
 *   settled  future/settle.c
 *   sleep    sync/sleep.c
 *   guests   future/notice.c
 *   rest     worker/standin.c: push, then read rests || the warden: close the
 *            post, then look at what is handed: one sees the other
 *
 * Crash. A record is still its worker's when it is pushed, and is made the
 * other's own before it is taken: whoever repairs what a dead worker left takes
 * the list first, and then does the rest of the steps that the worker was at;
 * but what is still the dead one's, and in the list of another, is left to that.
 * What is handed to a stand-in that was repaired already, whom nobody replaces,
 * the warden does (process/cull.c). Listeners of a dead process are not called.
 * Who dies between taking a listener and handing it over leaves it and its
 * record behind, until the pool goes.
 */
#include "future/combine.h"
#include "future/timer.h"

/* How often to look through a list from which somebody takes. */
#define LOOKS_MAX 10000u

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
    sh_sleep_wake(&sh_camp_at(pool, place - 1)->sleep, place - 1);
    (void)sh_post_rouse(pool, &pool->posts[place - 1]);
    if (SH_UNLIKELY(sh_post_is_closed(&pool->posts[place - 1])))
        sh_time_recruit(pool); /* who has the warden look */
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

/* Whether it is in that list, from which nobody has taken meanwhile. */
static bool is_in(struct sh_pool *pool, _Atomic uint32_t *list,
                  const struct sh_record *r, bool *sure_out)
{
    uint32_t head = sh_load_sc(list), i = head; /* seq_cst: handed */
    uint32_t used = sh_table_used(&pool->records), left = used;

    /* What has been taken meanwhile leads anywhere. */
    while (i != SH_NONE && i < used && left-- > 0 && sh_record_at(pool, i) != r)
        i = sh_load_rlx(&sh_record_at(pool, i)->link); /* relaxed: it does not
                                                        * change in the list */
    *sure_out = sh_load_sc(list) == head; /* seq_cst: handed */
    return i != SH_NONE && i < used && sh_record_at(pool, i) == r;
}

bool sh_hand_is_left(struct sh_pool *pool, const struct sh_record *r)
{
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i)) {
        bool sure = false, found = false;

        for (unsigned n = 0; n < LOOKS_MAX && !found && !sure; n++)
            found = is_in(pool, list_of(pool, i + 1), r, &sure);
        if (found)
            return true;
    }
    return false;
}

/* From now on it is this process that is at it. */
static void adopt(struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */

    /* acq_rel: settled. Flags may change meanwhile. */
    while (!sh_cas_acqrel(&r->state, &w,
                          sh_word_settled(w, sh_phase_of(w), sh_owner_here(),
                                          sh_outcome_of(w))))
        continue;
}

/* The next of those that were handed over, which is ours before it is in the
 * list no more: so it is found if we die at the one before. NULL: none. Only
 * one process takes from a list. */
static struct sh_record *take(struct sh_pool *pool, _Atomic uint32_t *list)
{
    uint32_t i = sh_load_sc(list); /* seq_cst: handed */
    struct sh_record *r;

    do {
        if (i == SH_NONE)
            return NULL;
        r = sh_record_at(pool, i);
        adopt(r);
        /* relaxed: it does not change in the list */
    } while (!sh_cas_sc(list, &i, sh_load_rlx(&r->link))); /* seq_cst: handed */
    return r;
}

static void do_handed(struct sh_pool *pool, unsigned place)
{
    _Atomic uint32_t *list = list_of(pool, place);
    _Atomic uint32_t all = SH_NONE;
    struct sh_work work = { 0 };
    struct sh_record *r;

    /* What was left to a dead process is left to the one that replaces it: the
     * list grows anew. And the host does not die. */
    if (sh_place_in(pool) == 0) {
        /* relaxed: ours; seq_cst: handed */
        sh_store_rlx(&all, sh_xchg_sc(list, SH_NONE));
        list = &all;
    }
    while ((r = take(pool, list)) != NULL) {
        /* acquire: settled */
        if (sh_phase_of(sh_load_acq(&r->state)) == SH_RELEASING)
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
    if (sh_xchg_sc(&pool->look, 0) != 0) /* seq_cst: handed */
        sh_keep_look(pool);
    sh_store_sc(&pool->hears, 0); /* seq_cst: quiet */
    sh_quiet_notify(pool);
}

bool sh_is_left_to_host(struct sh_pool *pool)
{
    return sh_load_sc(&pool->handed) != SH_NONE || /* seq_cst: quiet, alarm */
           sh_load_sc(&pool->hooks) != 0 ||        /* seq_cst: quiet, alarm */
           sh_load_sc(&pool->look) != 0 ||         /* seq_cst: quiet, alarm */
           sh_load_sc(&pool->guests) == SH_GUESTS_WANTED || /* seq_cst: guests,
                                                             * quiet, alarm */
           sh_load_sc(&pool->hears) != 0;          /* seq_cst: quiet */
}
