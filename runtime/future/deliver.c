/* SPDX-License-Identifier: MIT */
/*
 * future/deliver.c - telling whoever waits that something has settled, or that
 * a time has come.
 *
 *     target --+--> cell, waiter: bit, futex
 *              +--> cell, bridge: on to another pool
 *              +--> cell, call: a function of the host (call.c)
 *              +--> cell, node, or combinator: counted (combine.c)
 *              +--> cell, child: its scope counts it (scope.c)
 *              +--> step: WAIT -> READY and queued, or -> SETTLING
 *              +--> parked task: PARKED -> RUNNING, and to its worker
 *
 * Idea. An arrival is a bit with a generation, so it may be delivered twice or
 * too late; what follows is a CAS of the state from what was read.
 *
 * Edges.
 *   cell     future/combine.c
 *   sleep    sync/sleep.c
 *   ready    make ready: write state -> worker's claim           the inputs
 *   accept   builder: write WAIT, then read the arrivals || deliver: set the
 *            arrival, then read the state; all seq_cst: one sees the other
 *   park     await: write PARKED, then read the arrivals || deliver: as above
 *   home     worker/home.c
 *   care     worker/care.c
 *   rest     worker/standin.c
 *   resume   deliver: push on resumed -> worker: take all. Of processes: write
 *            a hint into woken, then set a flag in resumed -> worker: take the
 *            flags, then the hints
 *   arrive   future/edge.c
 *   closing  make ready: queue, then read the gate || shutdown: write STOPPED,
 *            then look at all records; all seq_cst
 *
 * Crash. Between an arrival and what follows from it: recovery tells every step
 * in WAIT again whose input has settled. That a parked task may go on is what
 * its state says; what its worker hears of it is a hint, which may be lost or
 * doubled. After a death all workers look at what is parked on them.
 */
#include "future/bridge.h"
#include "future/call.h"
#include "future/combine.h"
#include "future/settle.h"
#include "sync/futex.h"
#include "task/profile.h"

void sh_make_ready(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r, uint64_t word)
{
    struct sh_seat *seat = sh_here.seat;
    uint64_t hint = sh_hint(sh_index_of(pool, r), sh_generation_of(word));
    struct sh_camp *camp = sh_camp_of(pool, r);
    bool queued;

    /* relaxed: ours */
    if (seat != NULL && sh_load_rlx(&seat->pool) == pool && seat->post != NULL)
        queued = sh_camp_push(pool, camp, seat, hint);
    else
        queued = sh_ring_push(&camp->side, hint, UINT64_MAX);
    if (!queued)
        sh_add_sc(&camp->rescan, 1); /* seq_cst: sleep */
    /* Nobody is left to run it. seq_cst: closing */
    if (SH_UNLIKELY(sh_load_sc(&pool->gate) == SH_STOPPED) &&
        sh_settle_begin(r, word, sh_outcome_from(SHUNT_ECLOSED)))
        sh_work_settle(work, pool, r);
    sh_camp_notify(pool, camp);
}

bool sh_post_rouse(struct sh_pool *pool, struct sh_post *post)
{
    uint32_t now = SH_RESTS;

    if (!sh_cas_sc(&post->rests, &now, SH_WORKS)) /* seq_cst: rest, home,
                                                   * care */
        return false;
    sh_futex_wake(&post->rests, 1, pool->shared);
    return true;
}

static void push_resumed(struct sh_pool *pool, struct sh_record *r,
                         struct sh_post *post)
{
    uint32_t head = sh_load_rlx(&post->resumed); /* relaxed: as the CAS */

    do {
        sh_store_rlx(&r->link, head); /* relaxed: published by the CAS */
    } while (!sh_cas_sc(&post->resumed, &head,
                        sh_index_of(pool, r))); /* seq_cst: resume, sleep */
}

/* The same in a process pool, where it may be lost, if we die, and then said
 * again of all that are parked there; so that it may be doubled. */
static void say_resumed(struct sh_pool *pool, struct sh_record *r,
                        struct sh_post *post)
{
    /* relaxed: if it has gone on by now, this hint is stale */
    uint64_t hint =
        sh_hint(sh_index_of(pool, r), sh_generation_of(sh_load_rlx(&r->state)));
    uint32_t how = SH_RESUMED_ANY;

    for (unsigned i = 0; i < SH_WOKEN && how == SH_RESUMED_ANY; i++) {
        uint64_t none = 0;

        if (sh_cas_acqrel(&post->woken[i], &none, hint)) /* release: resume */
            how = SH_RESUMED_SOME;
    }
    sh_or_sc(&post->resumed, how); /* seq_cst: resume, sleep, home, care */
}

/* The figures of an auto pool say how often a worker of one site has woken
 * another, of the other site, for a task that waits there. The record may be in
 * use anew by now, as what tells its worker may be doubled: one is counted
 * wrong then. A spawned call has no figures. */
static SH_APART void count_crossing(struct sh_pool *pool, struct sh_record *r,
                                    unsigned w)
{
    const struct sh_seat *seat = sh_here.seat;
    struct sh_figures *f;

    /* relaxed: ours */
    if (seat == NULL || sh_load_rlx(&seat->pool) != pool ||
        seat->post == NULL || sh_seat_is_in(seat, sh_camp_at(pool, w)))
        return;
    f = sh_figures_met(pool, seat->post, sh_task_seen(r));
    if (f != NULL)
        sh_figures_add(&f->crossed, 1);
}

void sh_resume(struct sh_pool *pool, struct sh_record *r, unsigned owner)
{
    unsigned w = owner - SH_OWNER_WORKER(0);

    if (SH_UNLIKELY(pool->mixed))
        count_crossing(pool, r, w);
    if (SH_LIKELY(!pool->shared))
        push_resumed(pool, r, &pool->posts[w]);
    else
        say_resumed(pool, r, &pool->posts[w]);
    sh_sleep_wake(&sh_camp_at(pool, w)->sleep, w);
    if (SH_UNLIKELY(pool->shared) &&
        sh_load_sc(&pool->posts[w].rests) == SH_RESTS) /* seq_cst: home, care */
        (void)sh_post_rouse(pool, &pool->posts[w]);
}

bool sh_must_run(unsigned kind, int status)
{
    switch (kind) {
    case SH_KIND_THEN:
        return status == 0;
    case SH_KIND_RECOVER:
        return status != 0 && status != SHUNT_ECANCELED;
    case SH_KIND_RETRY:
        return status != 0; /* of an attempt; or its pause has ended */
    default:
        return kind == SH_KIND_FINALLY;
    }
}

/* A task was asked to cancel (SHUNT_ECANCELED), or has ended without that: what
 * becomes of the future that heeds it. */
static unsigned heeded(int status)
{
    return status != 0 ? 0 : sh_outcome_from(SHUNT_ECANCELED);
}

/* The arrival of a record that is not a combinator is set: go on with it. */
static void proceed(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, uint64_t target, int status)
{
    for (;;) {
        uint64_t w = sh_load_sc(&r->state); /* seq_cst: accept, park */
        /* seq_cst: accept, park. Read after the state: if it is still ours,
         * the state was not that of a later use. */
        uint64_t deps = sh_load_sc(&r->deps);
        unsigned kind = sh_load_acq(&r->kind); /* acquire: accept */
        unsigned owner = sh_owner_of(w);
        bool runs = sh_must_run(kind, status);
        uint64_t next = sh_word_settled(
            w, SH_SETTLING, sh_owner_here(),
            kind == SH_KIND_HEED ? heeded(status) : SH_OUTCOME_FORWARD);

        if ((uint32_t)(deps >> 32) != sh_target_generation(target))
            return;
        if (sh_phase_of(w) == SH_PARKED)
            next = sh_word_to(w, SH_RUNNING, owner);
        else if (sh_phase_of(w) != SH_WAIT)
            return; /* its owner will look at the arrivals itself */
        else if (runs)
            next = sh_word_to(w, SH_READY, 0);
        if (!sh_cas_acqrel(&r->state, &w, next)) /* acq_rel: ready, park */
            continue;
        if (sh_phase_of(w) == SH_PARKED)
            sh_resume(pool, r, owner);
        else if (runs)
            sh_make_ready(work, pool, r, next);
        else
            sh_work_settle(work, pool, r);
        return;
    }
}

/* Fill in where input bit of leaf c is counted. False if c is of another use
 * by now. */
static bool tally_of_leaf(struct sh_cell *c, uint64_t target,
                          struct sh_tally *t)
{
    /* acquire: cell. What is read here holds if the generation still does,
     * which the CAS of the arrival finds out. */
    t->up = sh_load_acq(&c->up);
    t->need = sh_load_acq(&c->need);             /* acquire: cell */
    t->root = sh_load_acq(&c->link);             /* acquire: cell */
    t->root_generation = sh_load_acq(&c->chain); /* acquire: cell */
    t->number = sh_load_acq(&c->base) + sh_target_bit(target); /* acquire:
                                                                * cell */
    t->leaf = &c->word;
    t->generation = sh_target_generation(target);
    t->bit = sh_target_bit(target);
    return (uint32_t)(sh_load_acq(&c->word) >> 32) ==
           t->generation; /*
                           * acquire: cell */
}

static void ring_waiter(struct sh_pool *pool, struct sh_cell *c,
                        uint64_t target)
{
    uint64_t word;

    if (sh_arrive(&c->word, sh_target_generation(target), sh_target_bit(target),
                  &word) == SH_ARRIVED_STALE)
        return;
    if ((word >> SH_BIT_SLEEPS & 1) != 0) {
        sh_futex_wake((_Atomic uint32_t *)(void *)&c->word, 1, pool->shared);
        sh_here.woke = true;
    }
}

static void deliver_record(struct sh_work *work, struct sh_pool *pool,
                           uint64_t target, int status)
{
    struct sh_record *r = sh_record_at(pool, sh_target_index(target));
    uint32_t generation = sh_target_generation(target);
    unsigned kind = sh_load_acq(&r->kind); /* acquire: accept */

    if (SH_UNLIKELY(kind == SH_KIND_SCOPE)) {
        sh_scope_heed(work, pool, target, status);
        return;
    }
    if (sh_kind_combines(kind)) {
        struct sh_tally tally = {
            .root = sh_target_index(target),
            .root_generation = generation,
            .leaf = &r->deps,
            .generation = generation,
            .bit = sh_target_bit(target),
            .number = sh_target_bit(target),
            /* relaxed: as kind; the CAS of the arrival validates it */
            .need = sh_load_rlx(&r->data.combining.count),
        };

        sh_combine_arrive(work, pool, &tally, status == 0);
        return;
    }
    if (sh_arrive(&r->deps, generation, sh_target_bit(target), NULL) !=
        SH_ARRIVED_STALE)
        proceed(work, pool, r, target, status);
}

SH_HOT void sh_deliver_to(struct sh_work *work, struct sh_pool *pool,
                          uint64_t target, int status)
{
    unsigned visited = 0;

    while (sh_target_kind(target) == SH_TARGET_CELL) {
        struct sh_cell *c = sh_cell_at(pool, sh_target_index(target));
        unsigned kind = sh_load_acq(&c->kind); /* acquire: cell */
        struct sh_tally tally;

        if (kind != SH_CELL_BRIDGE) {
            if (kind == SH_CELL_WAITER)
                ring_waiter(pool, c, target);
            else if (kind == SH_CELL_CALL)
                sh_call_arrive(pool, c, target);
            else if (kind == SH_CELL_CHILD)
                sh_scope_arrive(work, pool, target, status);
            else if (tally_of_leaf(c, target, &tally))
                sh_combine_arrive(work, pool, &tally, status == 0);
            if (visited != 0)
                sh_pool_leave(visited);
            return;
        }
        pool = sh_cross(pool, c, &target);
        if (pool == NULL)
            break;
        /* The pool may be about to go: be its guest, or drop it. */
        if (visited != 0)
            sh_pool_leave(visited);
        visited = pool->id;
    }
    if (pool != NULL)
        deliver_record(work, pool, target, status);
    if (visited != 0)
        sh_pool_leave(visited);
}
