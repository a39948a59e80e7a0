/* SPDX-License-Identifier: MIT */
/*
 * future/keep.c - a task's memory outlives the tasks that it submitted.
 *
 * Idea. Most tasks wait for those that they submit, so nothing is counted
 * while they run. When a task ends, its ledger says what it has submitted; for
 * what has not settled by then a keeper is made, which waits for it as a
 * combinator does, and the task's record is KEPT until the keeper is done.
 *
 * Whether the task still has a handle to such a future does not matter: it may
 * have let it go, or given it to a combinator. The record is HELD, by its
 * generation, for the moment that it takes to hang the keeper on it; after
 * that it cannot end without reaching the keeper. What else they may need, the
 * input of a task that took on another outcome, is the keeper's to give back.
 *
 * What is settled over its code, at a deadline or by SHUNT_KILL, uses that
 * memory until the code returns; so may who listens for a promise's cancel. A
 * keeper that waited for it is postponed: it is DONE, and on a list of the
 * pool; whoever returns from such code looks. In a process pool the list is the
 * host's alone, which does not die with some of it in hand: a worker hands the
 * keeper over, and has the host look.
 *
 * Edges.
 *   death    process/recover.c
 *   late     postpone: push, then read returned || returned: BUSY cleared, move
 *            returned, then read the list; all seq_cst: one sees the other
 *   settled  future/settle.c
 *   registry task/registry.c
 *   alarm    future/timer.c
 *   handed   future/hand.c
 *   quiet    future/settle.c
 *
 * Crash. The run names its keeper before that is accepted, so recovery, which
 * ends the run as if it had returned, makes another only if there is none. What
 * the run holds by HELD its ledger names: recovery lets go of it first. Whoever
 * dies before it has said that code has returned need not: recovery looks.
 */
#include "future/combine.h"
#include "future/timer.h"

/* The record of a future that the run's task got, if it has not settled, or its
 * code runs on. A delay has no code that might need anything. */
static struct sh_record *pending(const struct sh_run *run, uint64_t name,
                                 uint64_t *word_out)
{
    uint32_t index = sh_handle_index(name);
    struct sh_record *r;

    if (sh_handle_pool(name) != run->pool->id || (index & SH_ALIAS_BIT) != 0)
        return NULL;
    r = sh_record_at(run->pool, index);
    *word_out = sh_load_acq(&r->state); /* acquire: settled */
    return sh_handle_same_use(name, *word_out) && sh_is_live(*word_out) &&
                   /* relaxed: as the state */
                   sh_load_rlx(&r->kind) != SH_KIND_DELAY &&
                   (!sh_is_settled(*word_out) || (*word_out & SH_BUSY) != 0)
               ? r
               : NULL;
}

bool sh_is_pending_child(const struct sh_run *run, uint64_t name)
{
    uint64_t word;

    return pending(run, name, &word) != NULL;
}

/* Keep the record from being freed. False if it has settled meanwhile. That it
 * is ALIASED from then on tells who settles it that not only its holder may
 * hang there: see onward.c. */
static bool hold(struct sh_record *r, uint64_t *word)
{
    uint32_t generation = sh_generation_of(*word);

    do {
        if (sh_generation_of(*word) != generation || !sh_is_live(*word) ||
            sh_is_settled(*word))
            return false;
        /* acq_rel: settled */
    } while (!sh_cas_acqrel(&r->state, word, *word | SH_HELD | SH_ALIASED));
    *word |= SH_HELD | SH_ALIASED;
    return true;
}

/* Hang the keeper on what has not settled; how many inputs that makes. */
static uint32_t hang(struct sh_work *work, struct sh_run *run,
                     struct sh_record *keeper)
{
    const struct sh_ref nothing = { .reserved = SH_RESERVED_EMPTY };
    struct sh_combine *c = keeper->data.combining.more;
    uint32_t n = 0;

    for (uint32_t i = 0; i < run->handles.count && n < c->n; i++) {
        struct sh_ref ref = { .handle = run->handles.names[i],
                              .pool = run->pool };

        ref.record = pending(run, ref.handle, &ref.word);
        if (ref.record == NULL)
            continue;
        c->names[n] = NULL;
        c->indices[n] = (size_t)ref.handle;
        if (hold(ref.record, &ref.word)) {
            sh_combine_hang(work, run->pool, keeper, n, &ref);
            sh_settle_idle(work, run->pool, ref.record, SH_HELD);
        } else {
            sh_combine_hang(work, run->pool, keeper, n, &nothing);
        }
        n++;
    }
    return n;
}

/* Whether a process that has died since had a keeper made, and accepted. Those
 * that it was making are dropped later. */
static bool is_kept_already(const struct sh_run *run)
{
    uint64_t w;

    if (SH_LIKELY(run->keeper == 0))
        return false;
    /* acquire: settled */
    w = sh_load_acq(
        &sh_record_at(run->pool, sh_handle_index(run->keeper))->state);
    return !sh_handle_same_use(run->keeper, w) || sh_phase_of(w) != SH_INIT;
}

/* There need be none. A process that has died since may have said that there
 * would be. */
static void forget_keeper(struct sh_work *work, const struct sh_run *run)
{
    /* acquire: settled */
    if (SH_UNLIKELY(run->pool->shared) &&
        (sh_load_acq(&run->record->state) & SH_KEPT) != 0)
        sh_settle_idle(work, run->pool, run->record, SH_KEPT);
}

bool sh_keep(struct sh_run *run)
{
    struct sh_seat *seat = sh_seat_of(run->pool);
    struct sh_ref none = { .reserved = SH_RESERVED_EMPTY };
    struct sh_work work = { 0 };
    struct sh_record *r = NULL;
    struct sh_combine *c;
    uint32_t n = 0;
    uint64_t w;

    if (is_kept_already(run)) {
        run->spare = 0;
        /* acquire: settled */
        return (sh_load_acq(&run->record->state) & SH_KEPT) != 0;
    }

    for (uint32_t i = 0; i < run->handles.count; i++)
        n += pending(run, run->handles.names[i], &w) != NULL;
    if (n == 0 && !run->unnoted) {
        forget_keeper(&work, run);
        sh_work_do(&work);
        return false;
    }
    sh_or_sc(&run->record->state, SH_KEPT); /* seq_cst: settled */
    if (!run->unnoted)
        r = sh_combine_new(run->pool, seat, SH_KIND_KEEP, n, n);
    if (r == NULL) {
        run->spare = 0;
        return true; /* then the memory stays until the pool goes */
    }
    c = r->data.combining.more;
    c->spare = run->spare;
    /* relaxed: ours in INIT; release: death */
    sh_store_bare_rel(&run->keeper,
                      sh_handle_make(run->pool->id, sh_index_of(run->pool, r),
                                     sh_generation_of(sh_load_rlx(&r->state))));
    for (n = hang(&work, run, r); n < c->n; n++) {
        c->indices[n] = 0;
        sh_combine_hang(&work, run->pool, r, n, &none);
    }
    c->names[0] = sh_handle_future(
        sh_handle_make(run->pool->id, run->index, run->generation));
    if (c->starved) {
        /* Then the memory of the task stays as well. */
        c->names[0] = NULL;
        c->spare = 0;
    }
    /* Nobody holds a keeper. */
    w = sh_load_rlx(&r->state) | SH_GONE | SH_ORPHAN; /* relaxed: INIT, ours */
    sh_store_rlx(&r->state, w); /* relaxed: ours in INIT */
    sh_combine_accept(&work, run->pool, r);
    run->spare = 0; /* the keeper has it */
    sh_work_do(&work);
    return true;
}

void sh_keep_unhold(struct sh_work *work, struct sh_run *run)
{
    for (uint32_t i = 0; i < run->handles.count; i++) {
        uint64_t name = run->handles.names[i];
        uint32_t index = sh_handle_index(name);
        struct sh_record *r;
        uint64_t w;

        if (sh_handle_pool(name) != run->pool->id ||
            (index & SH_ALIAS_BIT) != 0 || index >= run->pool->records.capacity)
            continue;
        r = sh_record_at(run->pool, index);
        w = sh_load_acq(&r->state); /* acquire: settled */
        if (sh_handle_same_use(name, w) && (w & SH_HELD) != 0)
            sh_settle_idle(work, run->pool, r, SH_HELD);
    }
}

/* Whether code that a keeper waited for runs on. */
static bool is_late(struct sh_pool *pool, struct sh_record *keeper)
{
    const struct sh_combine *c = keeper->data.combining.more;

    for (uint32_t i = 0; i < c->n; i++) {
        uint64_t name = c->indices[i];
        /* seq_cst: late */
        uint64_t w =
            sh_load_sc(&sh_record_at(pool, sh_handle_index(name))->state);

        if (name != 0 && sh_handle_same_use(name, w) && (w & SH_BUSY) != 0)
            return true;
    }
    return false;
}

static void push_late(struct sh_pool *pool, struct sh_record *r)
{
    uint32_t head = sh_load_rlx(&pool->late); /* relaxed: the CAS validates */

    do {
        sh_store_rlx(&r->link, head); /* relaxed: published by the CAS */
    } while (!sh_cas_sc(&pool->late, &head,
                        sh_index_of(pool, r))); /*
                                                 * seq_cst: late */
}

/* Look through the list; once more if code has returned meanwhile, since what
 * was in our hands is not seen by others. */
static void look_through(struct sh_work *work, struct sh_pool *pool)
{
    uint32_t seen;

    do {
        uint32_t i;

        seen = sh_load_sc(&pool->returned);   /* seq_cst: late */
        i = sh_xchg_sc(&pool->late, SH_NONE); /* seq_cst: late */
        while (i != SH_NONE) {
            struct sh_record *r = sh_record_at(pool, i);
            uint64_t w = sh_load_acq(&r->state); /* acquire: settled */

            i = sh_load_rlx(&r->link); /* relaxed: ours now */
            if (is_late(pool, r)) {
                push_late(pool, r);
                continue;
            }
            sh_store_rel(&r->state,
                         sh_word_settled(w, SH_RELEASING, sh_owner_here(),
                                         sh_outcome_of(w))); /* release:
                                                              * settled */
            sh_work_free(work, pool, r);
        }
    } while (seen != sh_load_sc(&pool->returned)); /* seq_cst: late */
}

void sh_keep_look(struct sh_pool *pool)
{
    struct sh_work work = { 0 };

    if (sh_load_sc(&pool->late) != SH_NONE) /* seq_cst: late */
        look_through(&work, pool);
    sh_work_do(&work);
}

void sh_keep_returned(struct sh_work *work, struct sh_pool *pool)
{
    sh_add_sc(&pool->returned, 1);          /* seq_cst: late */
    if (sh_load_sc(&pool->late) == SH_NONE) /* seq_cst: late */
        return;
    if (sh_place_in(pool) == 0) {
        look_through(work, pool);
        return;
    }
    sh_store_sc(&pool->look, 1); /* seq_cst: handed, alarm, quiet */
    sh_time_ring_idle(pool);
}

bool sh_keep_postpone(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r)
{
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: ours in RELEASING */
    uint32_t seen = sh_load_sc(&pool->returned); /* seq_cst: late */

    if (r->data.combining.more == NULL || !is_late(pool, r))
        return false;
    if (sh_place_in(pool) > 0) {
        sh_hand_over(pool, r, 0);
        return true;
    }
    sh_store_sc(&r->state,
                sh_word_settled(w, SH_DONE, 0, sh_outcome_of(w))); /* seq_cst:
                                                                    * settled */
    push_late(pool, r);
    if (seen != sh_load_sc(&pool->returned)) /* seq_cst: late */
        look_through(work, pool);
    return true;
}
