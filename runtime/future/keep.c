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
 * Edges.
 *   settled  future/settle.c
 *   registry task/registry.c
 *
 * Crash. Until the keeper waits, a child stays HELD or the task's record KEPT:
 * recovery clears HELD everywhere, and KEPT where no keeper names the record.
 */
#include "future/combine.h"

/* The record of a future that the run's task got, if it has not settled. */
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
                   !sh_is_settled(*word_out)
               ? r
               : NULL;
}

bool sh_is_pending_child(const struct sh_run *run, uint64_t name)
{
    uint64_t word;

    return pending(run, name, &word) != NULL;
}

/* Keep the record from being freed. False if it has settled meanwhile. */
static bool hold(struct sh_record *r, uint64_t *word)
{
    uint32_t generation = sh_generation_of(*word);

    do {
        if (sh_generation_of(*word) != generation || !sh_is_live(*word) ||
            sh_is_settled(*word))
            return false;
    } while (!sh_cas_acqrel(&r->state, word, *word | SH_HELD)); /* acq_rel:
                                                                 * settled */
    *word |= SH_HELD;
    return true;
}

/* Hang the keeper on what has not settled; how many inputs that makes. */
static uint32_t hang(struct sh_work *work, struct sh_run *run,
                     struct sh_record *keeper)
{
    struct sh_combine *c = keeper->data.combining.more;
    uint32_t n = 0;

    for (uint32_t i = 0; i < run->handles.count && n < c->n; i++) {
        struct sh_ref ref = { .handle = run->handles.names[i],
                              .pool = run->pool };

        ref.record = pending(run, ref.handle, &ref.word);
        if (ref.record == NULL || !hold(ref.record, &ref.word))
            continue;
        c->names[n] = NULL;
        sh_combine_hang(work, run->pool, keeper, n++, &ref);
        sh_settle_idle(work, run->pool, ref.record, SH_HELD);
    }
    return n;
}

bool sh_keep(struct sh_run *run)
{
    struct sh_seat *seat = sh_seat_of(run->pool);
    struct sh_ref none = { .reserved = SH_RESERVED_EMPTY };
    struct sh_work work = { 0 };
    struct sh_record *r = NULL;
    struct sh_combine *c;
    uint32_t n = 0;
    uint64_t w, spare;

    for (uint32_t i = 0; i < run->handles.count; i++)
        n += pending(run, run->handles.names[i], &w) != NULL;
    if (n == 0 && !run->unnoted)
        return false;
    sh_or_sc(&run->record->state, SH_KEPT); /* seq_cst: settled */
    spare = run->spare;
    run->spare = 0;
    if (!run->unnoted)
        r = sh_combine_new(run->pool, seat, SH_KIND_KEEP, n, n);
    if (r == NULL)
        return true; /* then the memory stays until the pool goes */
    c = r->data.combining.more;
    c->spare = spare;
    for (n = hang(&work, run, r); n < c->n; n++)
        sh_combine_hang(&work, run->pool, r, n, &none);
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
    sh_work_do(&work);
    return true;
}
