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
 *   death    process/recover.c
 *   attached task/error.c
 *   cell     future/combine.c
 *   arrive   future/edge.c
 *   ready    future/deliver.c
 *   list     future/edge.c
 *   settled  settle: write state -> any reader of an outcome     value, error
 *   watch    attach: set WATCHED -> settle: CAS of state
 *   idle     give: the CAS to RELEASING -> dispose
 *   registry task/registry.c
 *   quiet    finish: write DONE, then read the gate || shutdown: close the
 *            gate, then look at all records; all seq_cst. quiet itself moves
 *            before quiet_waiters is read, and is read after that is raised
 *   room     future/submit.c
 *   park     worker/await.c
 *   stuck    future/timer.c
 *   rest     worker/standin.c
 *
 * Crash. See the table in docs/architecture.md: each phase, what a reader
 * finds, who repairs it.
 */
#include "future/settle.h"

#include "future/bridge.h"
#include "future/call.h"
#include "future/combine.h"
#include "future/retry.h"
#include "memory/known.h"
#include "task/error.h"
#include "task/ticket.h"

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
        next = sh_word_settled(word, SH_SETTLING, sh_owner_here(), outcome);
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
    sh_store_rlx(&r->link, head == NULL
                               ? SH_NONE
                               : sh_index_of(sh_pool_at(*list_pool), head));
    *list = r;
    *list_pool = pool->id;
}

static struct sh_record *work_pop(struct sh_record **list, unsigned *list_pool,
                                  struct sh_pool **pool_out)
{
    struct sh_record *r = *list;
    uint32_t next = sh_load_rlx(&r->link); /* relaxed: ours, see push */
    struct sh_pool *pool;

    *pool_out = sh_pool_at(*list_pool);
    *list_pool = r->link_pool;
    pool = sh_pool_at(*list_pool);
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

/* Whether nobody but the holder of this handle wants what is pending. */
static bool is_ours_alone(const struct sh_ref *ref)
{
    return ref->record != NULL && !sh_is_settled(ref->word) &&
           sh_handle_is_sole(ref) && !sh_edge_any(ref->pool, ref->record);
}

SH_HOT void sh_work_let_go(struct sh_work *work, const struct sh_ref *ref)
{
    /* relaxed: as the state */
    if (ref->record != NULL &&
        sh_load_rlx(&ref->record->kind) == SH_KIND_DELAY && is_ours_alone(ref))
        (void)sh_cancel_ask(work, ref->pool, ref->record,
                            sh_generation_of(ref->word));
}

void sh_work_give(struct sh_work *work, uint64_t handle)
{
    unsigned id = sh_handle_pool(handle);
    struct sh_ref ref;

    if (handle == 0 || !sh_pool_enter(id))
        return;
    if (sh_handle_find(handle, SH_LOOK, &ref) == 0 && ref.record != NULL) {
        sh_work_let_go(work, &ref);
        if (sh_handle_give(&ref) == SH_GIVEN_LAST)
            sh_work_free(work, ref.pool, ref.record);
    }
    sh_pool_exit(id);
}

void sh_work_abandon(struct sh_work *work, uint64_t handle)
{
    unsigned id = sh_handle_pool(handle);
    struct sh_ref ref;

    if (handle == 0 || !sh_pool_enter(id))
        return;
    if (sh_handle_find(handle, SH_LOOK, &ref) == 0 && is_ours_alone(&ref))
        (void)sh_cancel_ask(work, ref.pool, ref.record,
                            sh_generation_of(ref.word));
    /* Asked to cancel, or too late for that: nobody here wants to know. */
    sh_mark_seen(handle, true);
    sh_work_give(work, handle);
    sh_pool_exit(id);
}

struct delivery {
    struct sh_work *work;
    int status;
    bool asked;
    unsigned place; /* who is to deliver what was left */
};

/* Which process of a pool can deliver to a target: the host, if that lies in
 * another pool; a function's own. */
static unsigned place_of(struct sh_pool *pool, uint64_t target)
{
    struct sh_cell *c;
    unsigned place, kind;

    if (sh_target_kind(target) != SH_TARGET_CELL)
        return sh_place_in(pool);
    /* Read before the cell may be another's. */
    c = sh_cell_at(pool, sh_target_index(target));
    place = sh_load_acq(&c->pool); /* acquire: cell */
    kind = sh_load_acq(&c->kind);  /* acquire: cell */
    /* What was called, or is not to be, anybody can leave alone.
     * acquire: arrive */
    if ((kind != SH_CELL_BRIDGE && kind != SH_CELL_CALL) ||
        sh_load_acq(&c->word) != (uint64_t)sh_target_generation(target) << 32)
        return sh_place_in(pool);
    return kind == SH_CELL_BRIDGE ? 0 : place;
}

/* What heeds a task is told how that ended, and not what it passes on. */
static SH_HOT bool deliver_edge(void *to, struct sh_pool *pool, uint64_t target)
{
    struct delivery *d = to;
    int status = d->status;

    if (SH_UNLIKELY(pool->shared)) {
        unsigned place = place_of(pool, target);

        if (place != sh_place_in(pool)) {
            d->place = place;
            return false;
        }
    }
    if (sh_is_heed(target))
        status = d->asked ? SHUNT_ECANCELED : 0;
    sh_deliver_to(d->work, pool, target, status);
    return true;
}

/* What follows the commit: tell the dependants, then let go. asked: it was
 * asked to cancel, or given up, before it ended. */
static SH_HOT void finish(struct sh_work *work, struct sh_pool *pool,
                          struct sh_record *r, bool asked)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */
    struct delivery d = { work, sh_status_of(r, w), asked, 0 };
    uint64_t sole = sh_edge_sole(pool, r, w);
    bool over;

    if (sole != 0) {
        sh_deliver_to(work, pool, sole, d.status);
    } else if (!sh_edge_close(pool, r, deliver_edge, &d)) {
        sh_hand_over(pool, r, d.place);
        return;
    }
    w = sh_load_acq(&r->state); /* acquire: idle */
    do {
        uint64_t next;

        SH_ASSERT(sh_phase_of(w) == SH_COMPLETE);
        over = (w & SH_ORPHAN) != 0 && (w & SH_STAYS) == 0;
        next = sh_word_settled(w, over ? SH_RELEASING : SH_DONE,
                               over ? sh_owner_here() : 0, sh_outcome_of(w));
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
                          sh_word_settled(w, SH_COMPLETE, sh_owner_here(),
                                          outcome))) /* acq_rel: settled */
        continue;
}

/* The same; if it is the failure of a child of a scope, the siblings are
 * cancelled before anybody sees it. */
static void fail_fast_and_commit(struct sh_work *work, struct sh_pool *pool,
                                 struct sh_record *r, unsigned outcome)
{
    if (SH_UNLIKELY(outcome != 0 && sh_is_in_scope(r)))
        sh_scope_fail(work, pool, r, outcome);
    commit(r, outcome);
}

void sh_input_abandon(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r)
{
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: ours */
    uint64_t deps = sh_load_rlx(&r->deps);   /* relaxed: ours */
    unsigned kind = sh_load_rlx(&r->kind);   /* relaxed: ours */
    unsigned id = sh_handle_pool(input);
    struct sh_ref ref;
    bool pending;

    if (input == 0 || !sh_pool_enter(id)) {
        sh_store_rlx(&r->input, 0); /* relaxed: published by the commit */
        return;
    }
    pending = sh_handle_find(input, SH_LOOK, &ref) == 0 && ref.record != NULL &&
              !sh_is_settled(ref.word);
    /* Of a step it was not noted where it hangs, since this is rare. */
    if (pending && kind == SH_KIND_FORWARD && sh_hung_of(r)->target != 0)
        sh_unhang(pool, &ref, sh_hung_of(r));
    else if (pending && kind != SH_KIND_FORWARD)
        sh_unhang_all(pool, &ref,
                      sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), 0,
                                (uint32_t)(deps >> 32)));
    sh_work_abandon(work, input);
    /* Last: who does this again gives nothing back that was given. */
    sh_store_rel(&r->input, 0); /* release: death; published by the commit */
    sh_pool_exit(id);
}

/* Whether a record was asked to cancel, or given up, before it ended as word
 * says. */
static bool was_asked(uint64_t word)
{
    unsigned outcome = sh_outcome_of(word);

    return (word & SH_CANCEL) != 0 ||
           outcome == sh_outcome_from(SHUNT_ECANCELED) ||
           outcome == sh_outcome_from(SHUNT_ETIMEDOUT);
}

/* In a worker process: whether what describes its task is not there, since its
 * library was loaded later. */
static bool is_strange(const struct sh_pool *pool, const struct sh_record *r)
{
    return r->task != NULL && !sh_known_has(pool->known, r->task);
}

/* Everything between the claim to settle and the commit. */
static void conclude(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */
    unsigned outcome = sh_outcome_of(w);
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in SETTLING */
    bool imports;

    if (SH_UNLIKELY(kind == SH_KIND_SCOPE && sh_phase_of(w) == SH_WAIT)) {
        sh_scope_walk(work, pool, r);
        return;
    }
    if (SH_UNLIKELY(sh_phase_of(w) == SH_COMPLETE)) {
        finish(work, pool, r, was_asked(w));
        return;
    }
    SH_ASSERT(sh_phase_of(w) == SH_SETTLING);
    imports = SH_UNLIKELY(pool->shared) && sh_is_import(pool, r);
    if (SH_UNLIKELY(pool == sh_self()->served) &&
        (imports || is_strange(pool, r))) {
        sh_hand_over(pool, r, 0);
        return;
    }
    if ((w & SH_OUTSIDE) != 0 && sh_kind_is_task(kind)) {
        sh_add_sc(&sh_camp_of(pool, r)->dropped, 1); /* seq_cst: room */
        sh_room_ring(pool);
    }
    if (sh_kind_combines(kind))
        outcome = sh_combine_conclude(work, pool, r, outcome);
    if (kind == SH_KIND_RETRY)
        sh_retry_conclude(pool, r, outcome);
    if (imports && outcome == SH_OUTCOME_FORWARD)
        outcome = sh_import(work, pool, r);
    else if (SH_UNLIKELY(outcome != 0))
        sh_attach_reason(pool, r, kind, outcome);
    if (kind == SH_KIND_HEED)
        sh_store_rlx(&r->input, 0); /* relaxed: published by the commit */
    if (outcome == SH_OUTCOME_FORWARD)
        sh_shorten(work, pool, r);
    else if (((kind >= SH_KIND_THEN && kind <= SH_KIND_FORWARD) ||
              (kind & SH_KIND_FLAT) != 0 || kind == SH_KIND_RETRY) &&
             sh_load_rlx(&r->input) != 0) /* relaxed: ours */
        sh_input_abandon(work, pool, r);
    sh_input_drop(work, pool, r, kind);
    fail_fast_and_commit(work, pool, r, outcome);
    /* What heeds it hangs there since its function ran, and returned a future;
     * what that became is FORWARD. */
    finish(work, pool, r,
           was_asked(sh_word_settled(w, SH_COMPLETE, 0, outcome)));
}

/* By steps that who repeats them does not do twice. */
void sh_blocks_free(struct sh_work *work, struct sh_record *r)
{
    struct sh_block *b = sh_load_acq(&r->attached); /* acquire: attached */

    while (b != NULL) {
        if (b->kind == SH_BLOCK_HANDLE && work != NULL)
            sh_work_give(work, *(uint64_t *)sh_block_bytes(b));
        sh_block_scrap(b);
        if (!sh_cas_acqrel(&r->attached, &b, b->next)) /* acq_rel: attached */
            continue;
        sh_block_unlink(b);
        sh_block_free(b);
        b = sh_load_acq(&r->attached); /* acquire: attached */
    }
}

static void dispose(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state);   /* acquire: idle */
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in RELEASING */
    struct sh_seat *seat = sh_seat_of(pool);
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: ours */

    SH_ASSERT(sh_phase_of(w) == SH_RELEASING);
    if (kind == SH_KIND_KEEP && sh_keep_postpone(work, pool, r))
        return;
    /* First, as long as the causes are held. */
    if (SH_UNLIKELY(sh_outcome_of(w) != 0) && !sh_report_unseen(pool, r, w)) {
        sh_hand_over(pool, r, 0);
        return;
    }
    if (sh_kind_combines(kind))
        sh_combine_dispose(work, pool, r, sh_outcome_of(w));
    else if (kind == SH_KIND_PROMISE)
        sh_promise_dispose(pool, r);
    else if (kind == SH_KIND_SCOPE)
        sh_scope_dispose(work, pool, r);
    else
        sh_work_give(work, input);
    sh_blocks_free(work, r);
    sh_record_free_data(pool, r);
    sh_edge_free(pool, r);
    sh_record_retire(pool, seat, r, w);
}

SH_HOT void sh_work_do_all(struct sh_work *work)
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

void sh_settle_renewed(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, uint32_t generation)
{
    uint64_t w = sh_load_sc(&r->state); /* seq_cst: idle */
    uint64_t next;

    do {
        if (sh_phase_of(w) != SH_WAIT || sh_generation_of(w) != generation ||
            (w & SH_KEPT) != 0)
            return;
        next = sh_word_to(w, SH_READY, 0);
    } while (!sh_cas_sc(&r->state, &w, next)); /* seq_cst: idle, ready */
    sh_make_ready(work, pool, r, next);
}

SH_HOT void sh_settle_idle(struct sh_work *work, struct sh_pool *pool,
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
            next = sh_word_settled(next, SH_RELEASING, sh_owner_here(),
                                   sh_outcome_of(w));
    } while (!sh_cas_sc(&r->state, &w, next)); /* seq_cst: idle, quiet */
    if (over)
        sh_work_free(work, pool, r);
    else if (SH_UNLIKELY(flag == SH_KEPT && sh_phase_of(w) == SH_WAIT &&
                         /* relaxed: as the state. A step, too, may run again;
                          * it was KEPT since it had run before. */
                         sh_load_rlx(&r->kind) <= SH_KIND_FINALLY))
        sh_settle_renewed(work, pool, r, sh_generation_of(w));
    sh_quiet_notify(pool);
}

void sh_settle_returned(struct sh_work *work, struct sh_pool *pool,
                        struct sh_record *r)
{
    struct sh_post *post = sh_here.seat != NULL ? sh_here.seat->post : NULL;

    sh_telling(pool, r);
    /* Nobody need stand in for us any more. */
    if (post != NULL)
        sh_store_sc(&post->running, 0); /* seq_cst: stuck, rest */
    sh_settle_idle(work, pool, r, SH_BUSY);
    sh_telling(pool, NULL);
    sh_keep_returned(work, pool);
}

SH_HOT void sh_settle_running(struct sh_pool *pool, struct sh_record *r,
                              unsigned outcome, uint64_t input)
{
    struct sh_work work = { 0 };
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */
    bool fails = SH_UNLIKELY(outcome != 0) && sh_is_in_scope(r);
    bool given_up = true;

    while (sh_phase_of(w) == SH_RUNNING) {
        bool quick = (w & (SH_WATCHED | SH_ORPHAN)) == 0;
        enum sh_phase to = quick ? SH_DONE : SH_COMPLETE;
        uint64_t next = sh_word_settled(w, fails ? SH_SETTLING : to,
                                        quick && !fails ? 0 : sh_owner_here(),
                                        outcome);

        if (!sh_cas_acqrel(&r->state, &w, next)) /* acq_rel: settled, watch */
            continue;
        given_up = false;
        if (fails)
            fail_fast_and_commit(&work, pool, r, outcome);
        if (!quick)
            finish(&work, pool, r, (w & SH_CANCEL) != 0);
        break;
    }
    if (given_up)
        sh_settle_returned(&work, pool, r);
    if (input != 0) {
        sh_work_give(&work, input);
        sh_hand_clear(pool);
    }
    sh_work_do(&work);
}

static const char *why_given_up(const struct sh_pool *pool, uint64_t w,
                                int code)
{
    if (code == SHUNT_ETIMEDOUT)
        return pool->shared ? "the deadline passed while it ran; its process "
                              "is killed"
                            : "the deadline passed while it ran; its code may "
                              "still run";
    if ((w & SH_GRACED) != 0)
        return "was asked to cancel, and ran on; its process is killed";
    return pool->shared ? "given up when its pool was shut down; its process "
                          "is killed"
                        : "given up when its pool was shut down; its code may "
                          "still run";
}

enum sh_over sh_settle_over(struct sh_work *work, struct sh_pool *pool,
                            struct sh_record *r, uint64_t w, int code)
{
    uint32_t generation = sh_generation_of(w);
    unsigned outcome = sh_outcome_from(code);

    while ((sh_phase_of(w) == SH_RUNNING || sh_phase_of(w) == SH_PARKED) &&
           sh_generation_of(w) == generation &&
           (code != SHUNT_ETIMEDOUT || (w & SH_COMMITTED) == 0)) {
        bool parked = sh_phase_of(w) == SH_PARKED;
        unsigned owner = sh_owner_of(w);

        /* Ours from then on, whatever the code does. */
        if (!sh_cas_sc(&r->state, &w,
                       sh_word_settled(w | SH_BUSY, SH_SETTLING,
                                       sh_owner_here(),
                                       outcome))) /* seq_cst: settled, park,
                                                   * stuck */
            continue;
        sh_error_attach(
            pool, r,
            &(struct sh_failure){ .code = code,
                                  .attempts = sh_attempts_of(r),
                                  .text = why_given_up(pool, w, code) });
        fail_fast_and_commit(work, pool, r, outcome);
        finish(work, pool, r, true);
        if (parked)
            sh_resume(pool, r, owner);
        return parked ? SH_OVER_PARKED : SH_OVER_RAN;
    }
    return SH_OVER_NOT;
}

void sh_record_wreck(struct sh_pool *pool, struct sh_record *r)
{
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: nobody else is left */

    if (sh_kind_combines(kind))
        sh_combine_wreck(pool, r);
    else if (kind == SH_KIND_PROMISE)
        sh_promise_dispose(pool, r);
    sh_blocks_free(NULL, r);
    sh_record_free_data(pool, r);
}
