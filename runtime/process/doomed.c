/* SPDX-License-Identifier: MIT */
/*
 * process/doomed.c - the end of runs that were given up, with calls at other
 * processes.
 *
 *     calls that run     asked to cancel; killed after the grace of their task
 *     none any more      what they leave | the run ends as that of a dead
 *                        process | its stack is its worker's again
 *
 * Idea. See worker/doom.c. The host looks from time to time: this is rare, and
 * who ends a call need not know whether its owner is doomed.
 *
 * A run that is doomed may be that of a call itself, which its owner waits for:
 * that is lost when the run has ended, and the owner is doomed next, if it
 * lives.
 *
 * Edges.
 *   doomed   worker/doom.c
 *   taken    worker/frames.c
 *   ran      worker/frames.c
 *   settled  future/settle.c
 *   claim    worker/run.c
 *
 * Crash. Only the host runs this.
 */
#include "process/doomed.h"

#include "fiber/stacks.h"
#include "future/timer.h"
#include "future/value.h"
#include "process/mend.h"
#include "task/error.h"
#include "worker/frames.h"

/* The task that runs a call, or has run it; NULL if there never was one. */
static struct sh_record *task_of(struct sh_pool *pool,
                                 const struct shunt_frame_ *frame)
{
    uintptr_t mark = sh_load_bare_acq(&frame->run_); /* acquire: taken */

    return mark < SH_FRAME_RETURNED
               ? sh_record_at(pool, sh_handle_index(frame->thief_))
               : NULL;
}

/* A call that was taken is to end. */
static void ask(struct sh_pool *pool, struct sh_record *r, uint32_t generation)
{
    struct sh_work work = { 0 };

    (void)sh_cancel_ask(&work, pool, r, generation);
    sh_grace_begin(pool, r, generation);
    sh_work_do(&work);
}

/* Whether a call that was taken has ended; if not it is asked to. If the task
 * may run again (`whole`), so must what the call has submitted have. */
static bool ask_to_end(struct sh_pool *pool, const struct shunt_frame_ *frame,
                      bool whole)
{
    uintptr_t mark = sh_load_bare_acq(&frame->run_); /* acquire: taken, ran */
    struct sh_record *r = task_of(pool, frame);
    uint64_t w;

    if (mark > SH_FRAME_RETURNED)
        return false; /* a thief is about to mark it, or has died just then */
    if (r == NULL)
        return true;
    w = sh_load_acq(&r->state); /* acquire: settled */
    if (mark == SH_FRAME_TAKEN) {
        ask(pool, r, sh_generation_of(w));
        return false;
    }
    /* Its owner may have taken its value, and died just then. */
    return !sh_handle_same_use(frame->thief_, w) ||
           (sh_is_settled(w) && (!whole || (w & SH_KEPT) == 0));
}

/* Also one that has yet to be doomed with the others of that run. */
static bool is_of(struct sh_split *s, const struct sh_run *run)
{
    /* acquire: doomed */
    return s != NULL && s->run == run &&
           (sh_load_acq(&s->used) & ~SH_SPLIT_DOOMED) == run->worker->index + 1;
}

/* Nothing more is taken of a run, and its calls are asked to end: whether all
 * have. */
static bool ask_all_to_end(struct sh_pool *pool, const struct sh_run *run)
{
    bool alone = true, whole = run->record->task->traits_.idempotent;

    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        if (!is_of(s, run))
            continue;
        /* acquire: doomed */
        if ((sh_load_acq(&s->used) & SH_SPLIT_DOOMED) == 0)
            return false;
        for (uint32_t k = 0, n = sh_split_close(s); k < n; k++)
            alone &= ask_to_end(pool, s->slots[k], whole);
    }
    return alone;
}

/* What a call that has ended leaves is the run's, to be given back with it. The
 * error of one that is lost is *error_out. */
static void take_over(struct sh_run *run, const struct shunt_frame_ *frame,
                      const shunt_error **error_out)
{
    struct sh_record *r = task_of(run->pool, frame);
    struct sh_ref ref;

    if (r == NULL || sh_handle_find(frame->thief_, SH_LOOK, &ref) != 0 ||
        ref.record != r)
        return;
    if (sh_load_bare_rlx(&frame->run_) == SH_FRAME_DONE) /* relaxed: seen */
        sh_leaving_drop(run, *(struct sh_leaving **)sh_record_out(r));
    if (*error_out == NULL && sh_ref_status(&ref) == SHUNT_ECRASHED)
        *error_out = sh_error_of(&ref);
    sh_mark_seen(frame->thief_, true); /* it is the run's own failure now */
    /* What the call has submitted may use its memory, until it has ended. If
     * there is no memory to say so that stays until the pool goes. */
    (void)sh_run_hold(run, frame->thief_);
}

/* The task's error is that of its lost call. */
static void attach(struct sh_record *r, struct sh_pool *pool,
                   const shunt_error *error)
{
    struct sh_failure f = { .code = SHUNT_ECRASHED, .attempts = 1 };

    if (error != NULL) {
        f = sh_failure_of(error);
        f.task = NULL;
        f.where = NULL;
    }
    sh_error_attach(pool, r, &f);
}

/* Its calls have ended: so does the run. */
static void end(struct sh_run *run, enum sh_doom how, const shunt_error *error)
{
    struct sh_pool *pool = run->pool;
    struct sh_record *r = run->record;
    uint64_t w = sh_load_acq(&r->state); /* acquire: claim */
    bool again = how == SH_DOOM_AGAIN;

    if (how == SH_DOOM_LOST && sh_mend_again(r, w, true)) {
        again = true;
        sh_bound_of(r)->crashes++;
    }
    if (sh_phase_of(w) != SH_RUNNING) { /* it was given up */
        sh_frames_lose(pool, r);
        sh_run_abort(run, sh_outcome_of(w));
    } else if (again && (w & SH_CANCEL) != 0) {
        sh_run_abort(run, sh_outcome_from(SHUNT_ECANCELED));
    } else if (again) {
        sh_run_renew(run);
    } else {
        if (how == SH_DOOM_LOST)
            attach(r, pool, error);
        sh_frames_lose(pool, r);
        sh_run_abort(run, sh_outcome_from(SHUNT_ECRASHED));
    }
}

/* Its process lives, and so do queues of that, to which it has lent some. */
static void forget_lent(struct sh_run *run)
{
    struct sh_ledger *l = &run->handles;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < l->count; i++)
        if ((l->names[i] & SH_HANDLE_LENT) == 0)
            l->names[kept++] = l->names[i];
    l->count = kept;
}

static void end_alone(struct sh_pool *pool, struct sh_run *run)
{
    const shunt_error *error = NULL;
    struct sh_fiber *stack = NULL;
    enum sh_doom how = SH_DOOM_FAILS;

    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        if (!is_of(s, run))
            continue;
        stack = s->stack;
        how = s->doom;
        for (uint32_t k = 0, n = sh_split_close(s); k < n; k++)
            take_over(run, s->slots[k], &error);
    }
    if (how == SH_DOOM_LOST)
        forget_lent(run);
    end(run, how, error);
    for (uint32_t i = 0; i < sh_splits_count(pool); i++)
        if (is_of(sh_split_at(pool, i), run))
            sh_split_leave(sh_split_at(pool, i));
    sh_stacks_unpin(stack);
    sh_quiet_notify(pool);
}

/* Whether anything is taken now. */
static bool is_any_taken(struct sh_pool *pool)
{
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        if (s != NULL && sh_split_taken(s) > 0)
            return true;
    }
    return false;
}

/* Whether a task is to end within its grace, or was given up. */
static bool is_to_end(struct sh_pool *pool, uint64_t hint)
{
    uint64_t w;

    if (sh_hint_index(hint) >= sh_table_used(&pool->records))
        return false; /* of another use of what it was read from */
    /* acquire: settled */
    w = sh_load_acq(&sh_record_at(pool, sh_hint_index(hint))->state);
    return sh_generation_of(w) == sh_hint_generation(hint) &&
           (w & (SH_GRACED | SH_BUSY)) != 0;
}

/* Parts of tasks that are to end are asked to: the task itself may be parked
 * where nobody comes to it. That reaches parts of parts in turn. */
static void end_parts(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);

    if (!is_any_taken(pool))
        return;
    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);
        uint64_t w = sh_load_acq(&r->state); /* acquire: claim */

        if ((sh_phase_of(w) == SH_RUNNING || sh_phase_of(w) == SH_PARKED) &&
            (w & SH_GRACED) == 0 && sh_record_is_taken(r) &&
            is_to_end(pool, ((struct sh_taken *)(void *)r->data.bytes)->owner))
            ask(pool, r, sh_generation_of(w));
    }
}

/* End what can be ended: whether something was; and whether some is left. */
static bool end_some(struct sh_pool *pool, bool *left_out)
{
    bool ended = false;

    *left_out = false;
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        /* acquire: doomed */
        if (s == NULL || (sh_load_acq(&s->used) & SH_SPLIT_DOOMED) == 0)
            continue;
        if (ask_all_to_end(pool, s->run)) {
            end_alone(pool, s->run);
            ended = true;
        } else {
            *left_out = true;
        }
    }
    return ended;
}

bool sh_doomed_tend(struct sh_pool *pool)
{
    bool left;

    if (sh_xchg_sc(&pool->doomed, 0) == 0) /* seq_cst: doomed */
        return false;
    end_parts(pool);
    while (end_some(pool, &left)) /* others may have waited for that */
        continue;
    if (left)
        sh_store_sc(&pool->doomed, 1); /* seq_cst: doomed */
    return left;
}
