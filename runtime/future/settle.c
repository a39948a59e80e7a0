/* SPDX-License-Identifier: MIT */
/*
 * future/settle.c - settling, delivering, freeing.
 *
 *     begin ---> conclude ---> COMPLETE ---> close edges ---> DONE
 *    (claim)   (let go of      (commit)     (deliver; may       |
 *               inputs)                      begin others)   last handle?
 *                                                               v
 *                                                           RELEASING
 *
 * Idea. Everything after a commit can be done again: a delivery is a bit that
 * is tagged with a generation, a state moves by CAS from the word that was
 * read, a handle is given back once. So whoever finds a record in SETTLING,
 * COMPLETE or RELEASING whose owner has died repeats the step, and nothing
 * happens twice.
 *
 * A task that nobody depends on, the usual case, is settled by one CAS.
 *
 * Edges.
 *   attached task/error.c
 *   cell     future/combine.c
 *   list     future/edge.c
 *   sleep    sync/sleep.c
 *   settled  settle: write state -> any reader of an outcome     value, error
 *   watch    attach: set WATCHED -> settle: CAS of state
 *   ready    make ready: write state -> worker's claim           the inputs
 *   accept   builder: write WAIT, then read the arrivals || deliver: set the
 *            arrival, then read the state; all seq_cst: one sees the other
 *   park     await: write PARKED, then read the arrivals || deliver: as above
 *   resume   deliver: push on resumed -> worker: take all
 *   arrive   future/edge.c
 *   idle     give: the CAS to RELEASING -> dispose
 *   registry task/registry.c
 *   quiet    finish: write DONE, then read the gate || shutdown: close the
 *            gate, then look at all records; all seq_cst. quiet itself moves
 *            before quiet_waiters is read, and is read after that is raised
 *   room     future/submit.c
 *   closing  make ready: queue, then read the gate || shutdown: write STOPPED,
 *            then look at all records; all seq_cst
 *
 * Crash. See the table in docs/architecture.md: each phase, what a reader
 * finds, who repairs it.
 */
#include "future/settle.h"

#include "future/bridge.h"
#include "future/combine.h"
#include "sync/futex.h"
#include "task/data.h"
#include "task/error.h"

bool sh_settle_begin(struct sh_record *r, uint64_t word, unsigned outcome)
{
    enum sh_phase phase = sh_phase_of(word);
    uint32_t generation = sh_generation_of(word);
    uint64_t next;

    /* Flags may change under our hands: that is no reason to give up. */
    do {
        if (sh_phase_of(word) != phase ||
            sh_generation_of(word) != generation ||
            (phase != SH_PROMISE && phase != SH_WAIT && phase != SH_READY))
            return false;
        next = sh_word_settled(word, SH_SETTLING, sh_owner_of(word), outcome);
    } while (!sh_cas_acqrel(&r->state, &word, next)); /* acq_rel: settled */
    return true;
}

static void work_push(struct sh_record **list, unsigned *list_pool,
                      struct sh_pool *pool, struct sh_record *r)
{
    struct sh_record *head = *list;

    /* We are a guest there until it is done: see sh_work_do. */
    if (!sh_is_own(pool->id))
        sh_pool_stay(pool->id);
    r->link_pool = (uint16_t)*list_pool;
    /* relaxed: whoever moved the record to this phase owns the link */
    sh_store_rlx(&r->link, head == NULL ? SH_NONE
                                        : sh_index_of(
                                              sh_load_rlx(
                                                  &sh_homes[*list_pool]),
                                              head)); /* relaxed: in use */
    *list = r;
    *list_pool = pool->id;
}

static struct sh_record *work_pop(struct sh_record **list, unsigned *list_pool,
                                  struct sh_pool **pool_out)
{
    struct sh_record *r = *list;
    uint32_t next = sh_load_rlx(&r->link); /* relaxed: ours, see push */
    struct sh_pool *pool;

    *pool_out = sh_load_rlx(&sh_homes[*list_pool]); /* relaxed: it is in use */
    *list_pool = r->link_pool;
    pool = sh_load_rlx(&sh_homes[*list_pool]); /* relaxed: it is in use */
    *list = next == SH_NONE ? NULL : sh_record_at(pool, next);
    return r;
}

void sh_work_settle(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r)
{
    work_push(&work->settling, &work->settling_pool, pool, r);
}

void sh_work_free(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r)
{
    work_push(&work->freeing, &work->freeing_pool, pool, r);
}

void sh_work_give(struct sh_work *work, uint64_t handle)
{
    unsigned id = sh_handle_pool(handle);
    struct sh_ref ref;

    if (handle == 0 || !sh_pool_enter(id))
        return;
    if (sh_handle_find(handle, SH_LOOK, &ref) == 0 && ref.record != NULL &&
        sh_handle_give(&ref) == SH_GIVEN_LAST)
        sh_work_free(work, ref.pool, ref.record);
    sh_pool_exit(id);
}

void sh_work_abandon(struct sh_work *work, uint64_t handle)
{
    unsigned id = sh_handle_pool(handle);
    struct sh_ref ref;

    if (handle == 0 || !sh_pool_enter(id))
        return;
    if (sh_handle_find(handle, SH_LOOK, &ref) == 0 &&
        ref.record != NULL && !sh_is_settled(ref.word) &&
        sh_handle_is_sole(&ref) && !sh_edge_any(ref.pool, ref.record))
        (void)sh_cancel_ask(work, ref.pool, ref.record,
                            sh_generation_of(ref.word));
    /* Asked to cancel, or too late for that: nobody here wants to know. */
    sh_mark_seen(handle, true);
    sh_work_give(work, handle);
    sh_pool_exit(id);
}

void sh_make_ready(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r, uint64_t word)
{
    struct sh_seat *seat = sh_here.seat;
    uint64_t hint = sh_hint(sh_index_of(pool, r), sh_generation_of(word));
    bool queued;

    /* relaxed: ours */
    if (seat != NULL && sh_load_rlx(&seat->pool) == pool && seat->post != NULL)
        queued = sh_deque_push(&seat->post->deque, hint);
    else
        queued = sh_ring_push(&pool->side, hint, UINT64_MAX);
    if (!queued)
        sh_add_sc(&pool->rescan, 1); /* seq_cst: sleep */
    /* Nobody is left to run it. seq_cst: closing */
    if (SH_UNLIKELY(sh_load_sc(&pool->gate) == SH_STOPPED) &&
        sh_settle_begin(r, word, sh_outcome_from(SHUNT_ECLOSED)))
        sh_work_settle(work, pool, r);
    sh_sleep_notify(&pool->sleep);
}

void sh_resume(struct sh_pool *pool, struct sh_record *r, unsigned owner)
{
    unsigned w = owner - SH_OWNER_WORKER(0);
    _Atomic uint32_t *list = &pool->posts[w].resumed;
    uint32_t head = sh_load_rlx(list); /* relaxed: the CAS validates it */

    do {
        sh_store_rlx(&r->link, head); /* relaxed: published by the CAS */
    } while (!sh_cas_sc(list, &head, sh_index_of(pool, r))); /* seq_cst:
                                                              * resume, sleep */
    sh_sleep_wake(&pool->sleep, w);
}

bool sh_must_run(unsigned kind, int status)
{
    switch (kind) {
    case SH_KIND_THEN:
        return status == 0;
    case SH_KIND_RECOVER:
        return status != 0 && status != SHUNT_ECANCELED;
    default:
        return kind == SH_KIND_FINALLY;
    }
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
        uint64_t next = sh_word_settled(w, SH_SETTLING, owner,
                                        SH_OUTCOME_FORWARD);

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
    t->need = sh_load_acq(&c->need);            /* acquire: cell */
    t->root = sh_load_acq(&c->link);            /* acquire: cell */
    t->root_generation = sh_load_acq(&c->chain); /* acquire: cell */
    t->number = sh_load_acq(&c->base) + sh_target_bit(target); /* acquire:
                                                                * cell */
    t->leaf = &c->word;
    t->generation = sh_target_generation(target);
    t->bit = sh_target_bit(target);
    return (uint32_t)(sh_load_acq(&c->word) >> 32) == t->generation; /*
                                                          * acquire: cell */
}

static void ring_waiter(struct sh_pool *pool, struct sh_cell *c,
                        uint64_t target)
{
    uint64_t word;

    if (sh_arrive(&c->word, sh_target_generation(target),
                  sh_target_bit(target), &word) == SH_ARRIVED_STALE)
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

    if (sh_kind_combines(sh_load_acq(&r->kind))) { /* acquire: accept */
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

void sh_deliver_to(struct sh_work *work, struct sh_pool *pool, uint64_t target,
                   int status)
{
    unsigned visited = 0;

    while (sh_target_kind(target) == SH_TARGET_CELL) {
        struct sh_cell *c = sh_cell_at(pool, sh_target_index(target));
        unsigned kind = sh_load_acq(&c->kind); /* acquire: cell */
        struct sh_tally tally;

        if (kind == SH_CELL_WAITER || kind == SH_CELL_NODE) {
            if (kind == SH_CELL_WAITER)
                ring_waiter(pool, c, target);
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

struct delivery {
    struct sh_work *work;
    int status;
};

static void deliver_edge(void *to, struct sh_pool *pool, uint64_t target)
{
    struct delivery *d = to;

    sh_deliver_to(d->work, pool, target, d->status);
}

/* What follows the commit: tell the dependants, then let go. */
static void finish(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */
    struct delivery d = { work, sh_status_of(r, w) };
    bool over;

    sh_edge_close(pool, r, deliver_edge, &d);
    w = sh_load_acq(&r->state); /* acquire: idle */
    do {
        uint64_t next;

        SH_ASSERT(sh_phase_of(w) == SH_COMPLETE);
        over = (w & SH_ORPHAN) != 0 && (w & SH_STAYS) == 0;
        next = sh_word_settled(w, over ? SH_RELEASING : SH_DONE, 0,
                               sh_outcome_of(w));
        if (sh_cas_sc(&r->state, &w, next)) /* seq_cst: settled, idle, quiet */
            break;
    } while (true);
    if (over)
        sh_work_free(work, pool, r);
    sh_quiet_notify(pool);
}

/* The outcome is decided: nobody else moves the state until COMPLETE. */
static void commit(struct sh_record *r, unsigned outcome)
{
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: the CAS validates it */

    while (!sh_cas_acqrel(&r->state, &w,
                          sh_word_settled(w, SH_COMPLETE, sh_owner_of(w),
                                          outcome))) /* acq_rel: settled */
        continue;
}

/* A step or a forward that was cancelled while it waited. */
static void leave_input(struct sh_work *work, struct sh_pool *pool,
                        struct sh_record *r)
{
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: ours in SETTLING */
    uint64_t deps = sh_load_rlx(&r->deps);   /* relaxed: ours in SETTLING */
    unsigned id = sh_handle_pool(input);
    struct sh_ref ref;

    sh_store_rlx(&r->input, 0); /* relaxed: published by the commit */
    if (input == 0 || !sh_pool_enter(id))
        return;
    /* Where it hangs was not noted, since this is rare. */
    if (sh_handle_find(input, SH_LOOK, &ref) == 0 && ref.record != NULL &&
        !sh_is_settled(ref.word))
        sh_unhang_all(pool, &ref,
                      sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), 0,
                                (uint32_t)(deps >> 32)));
    sh_work_abandon(work, input);
    sh_pool_exit(id);
}

/* Everything between the claim to settle and the commit. */
static void conclude(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */
    unsigned outcome = sh_outcome_of(w);
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in SETTLING */
    unsigned cancelled = sh_outcome_from(SHUNT_ECANCELED);

    SH_ASSERT(sh_phase_of(w) == SH_SETTLING);
    if ((w & SH_OUTSIDE) != 0 && kind == SH_KIND_TASK) {
        sh_add_sc(&pool->dropped, 1); /* seq_cst: room */
        sh_room_ring(pool);
    }
    if (sh_kind_combines(kind))
        outcome = sh_combine_conclude(work, pool, r, outcome);
    if (outcome == SH_OUTCOME_FORWARD)
        sh_shorten(work, r);
    else if ((kind >= SH_KIND_THEN && kind <= SH_KIND_FORWARD) ||
             (kind & SH_KIND_FLAT) != 0)
        leave_input(work, pool, r);
    sh_record_drop_in(r, kind);
    if (outcome != 0 && outcome != SH_OUTCOME_FORWARD &&
        ((r->task != NULL && (kind & ~SH_KIND_FLAT) <= SH_KIND_FINALLY) ||
         (kind == SH_KIND_PROMISE && outcome == cancelled)))
        sh_error_attach(pool, r,
                        &(struct sh_failure){
                            .code = sh_outcome_code(outcome),
                            .attempts = (kind & SH_KIND_FLAT) != 0 });
    commit(r, outcome);
    finish(work, pool, r);
}

/* work may be NULL: then the pool goes, and handles with it. */
static void free_blocks(struct sh_work *work, struct sh_record *r)
{
    /* acquire: attached */
    struct sh_block *b = sh_xchg_acqrel(&r->attached, NULL);

    while (b != NULL) {
        struct sh_block *next = b->next;

        if (b->kind == SH_BLOCK_HANDLE && work != NULL)
            sh_work_give(work, *(uint64_t *)sh_block_bytes(b));
        b->next = b->prev = NULL;
        sh_block_free(b);
        b = next;
    }
}

static void dispose(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: idle */
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in RELEASING */
    struct sh_seat *seat = sh_seat_of(pool);
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: ours */

    SH_ASSERT(sh_phase_of(w) == SH_RELEASING);
    /* First, as long as the causes are held. */
    if (SH_UNLIKELY(sh_outcome_of(w) != 0))
        sh_report_unseen(pool, r, w);
    if (sh_kind_combines(kind))
        sh_combine_dispose(work, pool, r, sh_outcome_of(w));
    else if (kind == SH_KIND_PROMISE)
        sh_promise_dispose(pool, r);
    else
        sh_work_give(work, input);
    free_blocks(work, r);
    sh_record_free_data(pool, r);
    sh_edge_free(pool, r);
    sh_record_retire(pool, seat, r, w);
}

void sh_work_do(struct sh_work *work)
{
    struct sh_pool *pool;
    struct sh_record *r;
    unsigned before = sh_here.guest;

    while (work->settling != NULL || work->freeing != NULL) {
        bool settles = work->settling != NULL;

        sh_here.guest = settles ? work->settling_pool : work->freeing_pool;
        if (settles) {
            r = work_pop(&work->settling, &work->settling_pool, &pool);
            conclude(work, pool, r);
        } else {
            r = work_pop(&work->freeing, &work->freeing_pool, &pool);
            dispose(work, pool, r);
            sh_quiet_notify(pool);
        }
        if (!sh_is_own(sh_here.guest))
            sh_pool_leave(sh_here.guest);
    }
    sh_here.guest = before;
}

void sh_settle_idle(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, uint64_t flag)
{
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: the CAS validates it */
    uint64_t next;
    bool over;

    do {
        next = w & ~flag;
        over = (w & SH_ORPHAN) != 0 && sh_phase_of(w) == SH_DONE &&
               (next & SH_STAYS) == 0;
        if (over)
            next = sh_word_settled(next, SH_RELEASING, 0, sh_outcome_of(w));
    } while (!sh_cas_sc(&r->state, &w, next)); /* seq_cst: idle, quiet */
    if (over)
        sh_work_free(work, pool, r);
    sh_quiet_notify(pool);
}

void sh_settle_running(struct sh_pool *pool, struct sh_record *r,
                       unsigned outcome, uint64_t input)
{
    struct sh_work work = { 0 };
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: the CAS validates it */
    bool given_up = true;

    while (sh_phase_of(w) == SH_RUNNING) {
        bool quick = (w & (SH_WATCHED | SH_ORPHAN)) == 0;
        uint64_t next = sh_word_settled(w, quick ? SH_DONE : SH_COMPLETE, 0,
                                        outcome);

        if (!sh_cas_acqrel(&r->state, &w, next)) /* acq_rel: settled, watch */
            continue;
        given_up = false;
        if (!quick)
            finish(&work, pool, r);
        break;
    }
    if (given_up)
        sh_settle_idle(&work, pool, r, SH_BUSY);
    if (input != 0)
        sh_work_give(&work, input);
    if (work.settling != NULL || work.freeing != NULL)
        sh_work_do(&work);
}

void sh_settle_over(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, uint64_t w)
{
    uint32_t generation = sh_generation_of(w);
    unsigned outcome = sh_outcome_from(SHUNT_ECANCELED);

    while (sh_phase_of(w) == SH_RUNNING && sh_generation_of(w) == generation) {
        /* Ours from then on, whatever the code does. acq_rel: settled */
        if (!sh_cas_acqrel(&r->state, &w,
                           sh_word_settled(w | SH_BUSY, SH_SETTLING,
                                           SH_OWNER_HOST, outcome)))
            continue;
        sh_error_attach(pool, r,
                        &(struct sh_failure){
                            .code = SHUNT_ECANCELED,
                            .attempts = 1,
                            .text = "given up when its pool was shut down; "
                                    "its code may still run" });
        commit(r, outcome);
        finish(work, pool, r);
        return;
    }
}

void sh_record_wreck(struct sh_pool *pool, struct sh_record *r)
{
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: nobody else is left */

    if (sh_kind_combines(kind))
        sh_combine_wreck(pool, r);
    else if (kind == SH_KIND_PROMISE)
        sh_promise_dispose(pool, r);
    free_blocks(NULL, r);
    sh_record_free_data(pool, r);
}
