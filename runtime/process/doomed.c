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

/* Whether a call that was taken has ended, with all that belongs to it; if not
 * it is asked to. */
static bool has_ended(struct sh_pool *pool, const struct shunt_frame_ *frame)
{
    uintptr_t mark = sh_load_bare_acq(&frame->run_); /* acquire: taken, ran */
    struct sh_record *r = task_of(pool, frame);

    if (mark > SH_FRAME_RETURNED)
        return false; /* a thief is about to mark it, or has died just then */
    if (r == NULL)
        return true;
    if (mark != SH_FRAME_TAKEN)
        return sh_is_settled(sh_load_acq(&r->state)); /* acquire: settled */
    ask(pool, r, sh_generation_of(sh_load_acq(&r->state))); /* acquire: claim */
    return false;
}

static bool is_of(struct sh_split *s, const struct sh_run *run)
{
    return s != NULL &&
           (sh_load_acq(&s->used) & SH_SPLIT_DOOMED) !=
               0 && /* acquire: doomed */
           s->run == run;
}

/* Whether all calls of a run have ended. */
static bool is_alone(struct sh_pool *pool, const struct sh_run *run)
{
    bool alone = true;

    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        if (!is_of(s, run))
            continue;
        for (uint32_t k = 0, n = sh_split_close(s); k < n; k++)
            alone &= has_ended(pool, s->slots[k]);
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
    if (sh_ref_status(&ref) == 0)
        sh_leaving_note(run, *(struct sh_leaving **)sh_record_out(r));
    else if (*error_out == NULL && sh_ref_status(&ref) == SHUNT_ECRASHED)
        *error_out = sh_error_of(&ref);
    sh_mark_seen(frame->thief_, true); /* it is the run's own failure now */
    sh_run_note(run, frame->thief_);
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

    if (how == SH_DOOM_LOST && sh_mend_again(r, w, true))
        again = true, sh_bound_of(r)->crashes++;
    if (sh_phase_of(w) != SH_RUNNING) { /* it was given up */
        sh_frames_lose(pool, r, SH_FRAME_LOST);
        sh_run_abort(run, sh_outcome_of(w));
    } else if (again) {
        sh_run_renew(run);
    } else {
        if (how == SH_DOOM_LOST)
            attach(r, pool, error);
        sh_frames_lose(pool, r, SH_FRAME_LOST);
        sh_run_abort(run, sh_outcome_from(SHUNT_ECRASHED));
    }
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
    end(run, how, error);
    for (uint32_t i = 0; i < sh_splits_count(pool); i++)
        if (is_of(sh_split_at(pool, i), run))
            sh_split_leave(sh_split_at(pool, i));
    sh_stacks_unpin(stack);
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
    /* acquire: settled */
    uint64_t w = sh_load_acq(&sh_record_at(pool, sh_hint_index(hint))->state);

    return sh_generation_of(w) == sh_hint_generation(hint) &&
           (w & (SH_GRACED | SH_BUSY)) != 0;
}

/* Parts of tasks that are to end are asked to: the task itself may be parked
 * where nobody comes to it. */
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
            is_to_end(pool, ((struct sh_taken *)sh_record_in(r))->whole))
            ask(pool, r, sh_generation_of(w));
    }
}

bool sh_doomed_tend(struct sh_pool *pool)
{
    bool left = false;

    if (sh_xchg_sc(&pool->doomed, 0) == 0) /* seq_cst: doomed */
        return false;
    end_parts(pool);
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        /* acquire: doomed */
        if (s == NULL || (sh_load_acq(&s->used) & SH_SPLIT_DOOMED) == 0)
            continue;
        if (is_alone(pool, s->run))
            end_alone(pool, s->run);
        else
            left = true;
    }
    if (left)
        sh_store_sc(&pool->doomed, 1); /* seq_cst: doomed */
    return left;
}
