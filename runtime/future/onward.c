/* SPDX-License-Identifier: MIT */
/*
 * future/onward.c - from a future that has settled straight to the step behind
 * it, on the same worker.
 *
 *     r  RUNNING ----------> DONE
 *                 edge0 |
 *                       v
 *     step  WAIT -----------> RUNNING        and then r: DONE -> FREE
 *
 * Idea. In a chain each future has one holder, the step that waits for it. Who
 * settles it would tell the step, queue it, find it in the queue, and claim it;
 * and close edges that nobody can use any more. If the flags of r say that the
 * handle that was lent is the only one, all of that is one CAS of r and one of
 * the step.
 *
 * Nobody hangs on r beside the step: who is to, has a handle, which is lent, or
 * pins r, which makes it ALIASED; the keeper of a task that has ended says that
 * it is ALIASED, too (keep.c). All of them change the state word for good
 * before they hang, so that the CAS finds out who comes between, and who comes
 * later finds r settled. So its edges are left as they are.
 *
 * What is not as simple as that takes the long way, at any point: after the
 * first CAS r has settled, and its step is told as any other is. A shutdown
 * sees that somebody is at work from that this worker is not idle.
 *
 * Of threads only: if a process died between the two, nobody would know that
 * the step has yet to be told.
 *
 * Edges.
 *   settled  future/settle.c
 *   watch    future/settle.c
 *   idle     future/settle.c
 *   hang     future/edge.c
 *   list     future/edge.c
 *   accept   future/deliver.c
 *   claim    worker/run.c
 *   broken   worker/run.c
 *   free     task/data.c
 *
 * Crash. None: a thread dies with its pool.
 */
#include "future/settle.h"
#include "task/data.h"

/* Whether a pool starts what is ready, as sh_worker_run asks. */
static bool starts(struct sh_pool *pool)
{
    /* relaxed: a shutdown looks at all records itself */
    return sh_load_rlx(&pool->gate) == SH_OPEN &&
           sh_load_acq(&pool->broken) == 0; /* acquire: broken */
}

/* Claim the step that target names, if it waits. */
static bool claim(struct sh_record *step, uint64_t target, unsigned owner)
{
    uint64_t w = sh_load_acq(&step->state); /* acquire: accept */
    /* acquire: accept. Read after the state: if it is still ours, the state was
     * not that of a later use. */
    uint64_t deps = sh_load_acq(&step->deps);

    if (sh_phase_of(w) != SH_WAIT ||
        (uint32_t)(deps >> 32) != sh_target_generation(target) ||
        sh_load_acq(&step->kind) != SH_KIND_THEN) /* acquire: accept */
        return false;
    /* acq_rel: claim */
    return sh_cas_acqrel(&step->state, &w, sh_word_to(w, SH_RUNNING, owner));
}

SH_HOT struct sh_record *sh_settle_onward(struct sh_pool *pool,
                                          struct sh_record *r, unsigned owner)
{
    uint64_t w = sh_load_acq(&r->state);      /* acquire: settled, watch */
    uint64_t target = sh_load_acq(&r->edge0); /* acquire: hang */
    struct sh_work work = { 0 };
    struct sh_record *step;

    if (sh_phase_of(w) != SH_RUNNING || (w & (SH_ODD | SH_LENT)) != SH_LENT ||
        sh_target_kind(target) != SH_TARGET_RECORD ||
        sh_target_bit(target) != 0 || sh_is_bound(r) || pool->shared ||
        !starts(pool) ||
        sh_load_acq(&r->edges) != SH_NONE || /* acquire: list */
        /* acq_rel: settled, watch, idle */
        !sh_cas_acqrel(&r->state, &w, sh_word_settled(w, SH_DONE, 0, 0))) {
        sh_settle_running(pool, r, 0, 0);
        return NULL;
    }
    step = sh_record_at(pool, sh_target_index(target));
    if (SH_LIKELY(claim(step, target, owner)))
        return step;
    sh_deliver_to(&work, pool, target, 0);
    sh_work_do(&work);
    return NULL;
}

/* Whether a record of that kind has nothing but itself, and a value in there.
 */
static bool is_bare(struct sh_record *r, unsigned kind)
{
    if (sh_load_rlx(&r->attached) != NULL || /* relaxed: as state */
        sh_load_rlx(&r->input) != 0 ||       /* relaxed: as state */
        /* acquire: list */
        (sh_load_acq(&r->edges) & ~SH_EDGES_CLOSED) != SH_NONE)
        return false;
    if (kind == SH_KIND_PROMISE)
        return sh_promised_is_inside(&r->data.promised);
    return kind >= SH_KIND_TASK && kind <= SH_KIND_RECOVER &&
           (r->out_at & SH_OUT_IN_BLOCK) == 0;
}

SH_HOT bool sh_give_plain(struct sh_pool *pool, uint64_t handle)
{
    struct sh_seat *seat = sh_here.seat;
    struct sh_record *r;
    unsigned kind;
    uint64_t w;

    if (sh_handle_pool(handle) != pool->id || pool->shared || seat == NULL ||
        sh_load_rlx(&seat->pool) != pool || /* relaxed: it is in use */
        sh_handle_index(handle) >= pool->records.capacity)
        return false;
    r = sh_record_at(pool, sh_handle_index(handle));
    w = sh_load_acq(&r->state);   /* acquire: settled */
    kind = sh_load_rlx(&r->kind); /* relaxed: as state */
    if (sh_phase_of(w) != SH_DONE || sh_outcome_of(w) != 0 ||
        (w & (SH_ODD | SH_LENT)) != SH_LENT || !sh_handle_same_use(handle, w) ||
        !is_bare(r, kind))
        return false;
    /* acq_rel: idle, free */
    if (!sh_cas_acqrel(&r->state, &w, ((w >> 32) + 1) << 32 | SH_FREE))
        return false;
    sh_table_put_at(&seat->records, sh_index_of(pool, r), &r->link);
    sh_table_gave(&pool->records, &seat->records);
    return true;
}

SH_HOT void sh_settle_spent(struct sh_pool *pool, uint64_t input)
{
    if (!sh_give_plain(pool, input))
        sh_give_now(input);
}
