/* SPDX-License-Identifier: MIT */
/*
 * future/step.c - then, recover, finally, via: one future after another.
 *
 * A step is a record that waits for one arrival, with the input's handle lent
 * to it. Whether it runs or passes the input's outcome on is decided when the
 * input settles (future/deliver.c, sh_must_run); whether the types fit, when it
 * runs (worker/run.c), since only then the value is there for sure.
 *
 * Edges.
 *   accept   future/deliver.c
 *   due      future/timer.c: here the state is written
 *   registry task/registry.c
 *   settled  future/settle.c
 *   accepted task/handle.c
 *   hang     future/edge.c
 *   closed   future/edge.c
 */
#include <string.h>

#include "future/bridge.h"
#include "future/submit.h"
#include "memory/known.h"

/* Move a record that is ours, INIT or RUNNING, to WAIT or SETTLING. False if a
 * shutdown has settled it meanwhile. */
static bool move(struct sh_record *r, enum sh_phase phase, unsigned outcome)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: accept */
    unsigned owner;

    do {
        if (sh_phase_of(w) != SH_INIT && sh_phase_of(w) != SH_RUNNING)
            return false;
        /* A record that waits a second time does so with another word: one
         * who delivers late must not take it for the first. */
        owner = sh_phase_of(w) == SH_RUNNING ? sh_owner_of(w) : 0;
        if (phase == SH_SETTLING)
            owner = sh_owner_here();
    } while (!sh_cas_sc(
        &r->state, &w,
        sh_word_settled(w, phase, owner, outcome))); /*
                                                      * seq_cst: accept */
    return true;
}

bool sh_follow(struct sh_work *work, struct sh_pool *pool, struct sh_record *r,
               const struct sh_ref *ref)
{
    /* relaxed: ours */
    uint32_t generation = (uint32_t)(sh_load_rlx(&r->deps) >> 32);
    uint64_t target =
        sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), 0, generation);
    enum sh_attached how = SH_ATTACH_SETTLED;
    struct sh_hung hung = { 0, 0 };
    bool moved;

    sh_store_rlx(&r->input, ref->handle); /* relaxed: published with WAIT */
    if (ref->record != NULL && !sh_is_settled(ref->word))
        how = sh_hang(pool, ref, target, &hung);
    if (how != SH_ATTACHED)
        hung.target = 0;
    if (sh_load_rlx(&r->kind) == SH_KIND_FORWARD) { /* relaxed: ours */
        sh_hung_of(r)->target = hung.target;
        sh_hung_of(r)->hook = hung.hook;
    }
    moved = how == SH_ATTACH_NOMEM
                ? move(r, SH_SETTLING, sh_outcome_from(SHUNT_ENOMEM))
                : move(r, SH_WAIT, 0);
    if (!moved) {
        /* It was given up, so nobody waits for this here. */
        sh_store_rlx(&r->input, 0); /* relaxed: it has settled otherwise */
        if (how == SH_ATTACHED)
            sh_unhang(pool, ref, &hung);
        sh_work_abandon(work, ref->handle);
        return false;
    }
    if (how == SH_ATTACH_NOMEM) {
        sh_work_settle(work, pool, r);
        return true;
    }
    /* Settled before, or while we hung on: then the arrival may have come
     * too early for whoever brought it. */
    if (how == SH_ATTACH_SETTLED ||
        (sh_load_sc(&r->deps) & 1) != 0) /*
                                          * seq_cst: accept */
        sh_deliver_to(work, pool, target, sh_ref_status_now(ref));
    return true;
}

/* A handle that is consumed in vain. */
static void give(const struct sh_ref *ref)
{
    struct sh_work work = { 0 };
    struct sh_ref copy = *ref;

    if (ref->record != NULL && sh_handle_give(&copy) == SH_GIVEN_LAST)
        sh_work_free(&work, ref->pool, ref->record);
    sh_work_do(&work);
}

/* The context of a step that will not be attached, though its input was
 * consumed: it was accepted all the same. */
static void drop_ctx(const struct sh_pool *pool, const shunt_task *task,
                     const void *ctx)
{
    if (task != NULL && ctx != NULL && task->traits_.drop != NULL &&
        (task->shape_ & SHUNT_SHAPE_STEP_) != 0)
        sh_call_hook(pool == NULL ? 0 : pool->id, task->traits_.drop,
                     (void *)(uintptr_t)ctx);
}

/* A record in INIT that will follow another; NULL: no memory. */
static struct sh_record *follower_new(struct sh_pool *pool, unsigned kind,
                                      const shunt_task *task, const char *where,
                                      int64_t deadline_ns)
{
    struct sh_seat *seat = sh_seat_of(pool);
    struct sh_record *r =
        seat == NULL ? NULL : sh_record_new(pool, seat, kind, task, where);
    uint64_t w;

    if (r == NULL)
        return NULL;
    w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    if (deadline_ns != INT64_MAX)
        sh_record_bind(r)->deadline_ns = deadline_ns;
    if (task != NULL)
        sh_record_bind_retries(pool, r, 0);
    if (task == NULL || sh_record_make_data(pool, r)) {
        if (deadline_ns == INT64_MAX || sh_bound_set(pool, r, w))
            return r;
        sh_record_free_data(pool, r);
    }
    sh_record_retire(pool, seat, r, w);
    return NULL;
}

/* It shall not follow after all. */
static void follower_free(struct sh_pool *pool, struct sh_record *r)
{
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */

    sh_record_free_data(pool, r);
    sh_record_retire(pool, sh_seat_of(pool), r, w);
}

/* Attach a step that was checked to ref. */
static shunt_future *attach(struct sh_pool *pool, struct sh_ref *ref,
                            unsigned kind, const shunt_task *task,
                            const void *ctx, const char *where,
                            int64_t deadline_ns)
{
    struct sh_work work = { 0 };
    struct sh_record *r = follower_new(pool, kind, task, where, deadline_ns);
    uint64_t handle, w;

    if (r == NULL) {
        drop_ctx(pool, task, ctx);
        give(ref);
        return sh_handle_failed(pool->id, SHUNT_ENOMEM);
    }
    if (task != NULL && ctx != NULL &&
        (task->shape_ & SHUNT_SHAPE_IN_NONE_) == 0)
        memcpy(sh_record_in(r), ctx, task->ctx_size_);
    w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    handle =
        sh_handle_make(pool->id, sh_index_of(pool, r), sh_generation_of(w));
    /* Before it is lent: see undo.c. relaxed: the lending is a CAS */
    if (ref->record != NULL)
        sh_store_rlx(&r->input, ref->handle | SH_HANDLE_LENT);
    if (ref->record != NULL && !sh_handle_lend(ref, SH_WATCHED)) {
        drop_ctx(pool, task, ctx);
        follower_free(pool, r);
        return sh_handle_failed(pool->id, SHUNT_EINVAL);
    }
    if (sh_here.run != NULL)
        sh_run_note(sh_here.run, handle);
    (void)sh_follow(&work, pool, r, ref);
    if (deadline_ns != INT64_MAX)
        sh_bound_accepted(&work, pool, r, w);
    sh_work_do(&work);
    return sh_handle_future(handle);
}

/* -- the usual case -- */

/* Let a step in INIT wait for ref, which was lent to it, as sh_follow does: the
 * usual case is that it is pending, and nobody hangs there before. */
static void follow_first(struct sh_pool *pool, struct sh_record *r,
                         const struct sh_ref *ref, uint64_t w)
{
    struct sh_work work = { 0 };
    uint64_t none = SH_EDGE_EMPTY;
    /* relaxed: ours */
    uint64_t target = sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), 0,
                                (uint32_t)(sh_load_rlx(&r->deps) >> 32));

    /* That there is somebody was said as it was lent, if it had not settled by
     * then. acq_rel: hang, closed */
    if (SH_UNLIKELY(sh_is_settled(ref->word) ||
                    !sh_cas_acqrel(&ref->record->edge0, &none, target))) {
        (void)sh_follow(&work, pool, r, ref);
        sh_work_do(&work);
        return;
    }
    sh_store_sc(&r->state, sh_word_to(w, SH_WAIT, 0));  /* seq_cst: accept */
    if (SH_UNLIKELY((sh_load_sc(&r->deps) & 1) != 0)) { /* seq_cst: accept */
        sh_deliver_to(&work, pool, target, sh_ref_status_now(ref));
        sh_work_do(&work);
    }
}

/* The pool that a future of a thread pool is pending in, which the caller has a
 * seat of, and its record in *ref_out; NULL: it is not as simple as that. */
static struct sh_pool *find_pending(uint64_t handle, struct sh_ref *ref_out)
{
    /* acquire: registry */
    struct sh_pool *pool =
        sh_load_acq(&sh_self()->pools[sh_handle_pool(handle)]);
    const struct sh_seat *seat = sh_here.seat;

    if (pool == NULL || seat == NULL || pool->shared ||
        sh_load_rlx(&seat->pool) != pool || /* relaxed: it is in use */
        !sh_pool_is_ours(pool) ||
        sh_handle_index(handle) >= pool->records.capacity)
        return NULL;
    ref_out->pool = pool;
    ref_out->record = sh_record_at(pool, sh_handle_index(handle));
    /* acquire: settled, accepted */
    ref_out->word = sh_load_acq(&ref_out->record->state);
    ref_out->handle = handle;
    ref_out->reserved = 0;
    return sh_handle_fits(handle, ref_out->word) &&
                   !sh_is_settled(ref_out->word)
               ? pool
               : NULL;
}

/* Attach a step without a context, and without a deadline, to what is pending.
 * NULL: nothing was done, since it is not as simple as that. */
static SH_HOT shunt_future *then_plain(shunt_future *f, const shunt_task *task,
                                       const char *where)
{
    const struct sh_run *run = sh_here.run;
    struct sh_record *r;
    struct sh_ref ref;
    struct sh_pool *pool = find_pending(sh_handle_of(f), &ref);
    uint64_t w, handle;

    if (pool == NULL || task == NULL ||
        (task->shape_ & SHUNT_SHAPE_STEP_) != 0 ||
        /* relaxed: as in timer.h */
        (run != NULL && sh_load_bare_rlx(&run->deadline_ns) != INT64_MAX) ||
        sh_task_check(pool, task) != 0)
        return NULL;
    r = sh_record_new(pool, sh_here.seat, SH_KIND_THEN, task, where);
    if (SH_UNLIKELY(r == NULL))
        return NULL;
    w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    /* Before it is lent: see undo.c. relaxed: the lending is a CAS */
    sh_store_rlx(&r->input, ref.handle | SH_HANDLE_LENT);
    if (SH_UNLIKELY(!sh_record_make_data(pool, r) ||
                    !sh_handle_lend(&ref, SH_WATCHED))) {
        follower_free(pool, r);
        return NULL;
    }
    handle =
        sh_handle_make(pool->id, sh_index_of(pool, r), sh_generation_of(w));
    if (sh_here.run != NULL)
        sh_run_note(sh_here.run, handle);
    follow_first(pool, r, &ref, w);
    return sh_handle_future(handle);
}

/* -- all cases -- */

/* 0, or why the step cannot be attached at all. */
static int check(const struct sh_pool *pool, const shunt_task *task,
                 const void *ctx)
{
    bool wants;

    if (task == NULL)
        return SHUNT_EINVAL;
    wants = (task->shape_ & SHUNT_SHAPE_STEP_) != 0 &&
            (task->shape_ & SHUNT_SHAPE_IN_NONE_) == 0;
    if (wants && ctx == NULL)
        return SHUNT_EINVAL;
    if ((task->shape_ & SHUNT_SHAPE_STEP_) == 0 && ctx != NULL)
        return SHUNT_EINVAL;
    /* Whoever settles the step looks at its description. */
    if (pool->shared && !sh_known_has(pool->known, task))
        return SHUNT_ENOTSUP;
    return sh_task_check(pool, task);
}

/* What recovers must give what the input would have given, as far as that is
 * known before it has settled. */
static int check_result(struct sh_record *r, const shunt_task *task)
{
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: as the state */
    struct sh_value v;

    if (kind == SH_KIND_FORWARD || kind == SH_KIND_FINALLY ||
        (kind & SH_KIND_FLAT) != 0 ||
        (task->shape_ & SHUNT_SHAPE_OUT_FUTURE_) != 0 ||
        (r->task != NULL && (r->task->shape_ & SHUNT_SHAPE_OUT_FUTURE_) != 0))
        return 0;
    v = sh_record_value(r);
    return v.size == task->out_size_ && v.align == task->out_align_
               ? 0
               : SHUNT_EINVAL;
}

/* What a reserved handle is followed by, if no step: NULL if one is wanted. */
static shunt_future *pass_reserved(unsigned kind, const struct sh_ref *ref)
{
    int status = sh_reserved_status(ref->reserved);

    if (ref->pool != NULL && sh_pool_is_ours(ref->pool) &&
        (kind != SH_KIND_THEN || status == 0))
        return NULL;
    /* No pool to run in, or nothing to run. */
    return kind == SH_KIND_THEN && status == 0
               ? sh_handle_failed(0, SHUNT_EINVAL)
               : sh_handle_future(ref->handle);
}

/* In a pool that has stopped nothing runs any more: what need not run is
 * passed on. */
static shunt_future *step_in_stopped(unsigned kind, struct sh_ref *ref,
                                     int status)
{
    if (!sh_must_run(kind, status))
        return attach(ref->pool, ref, SH_KIND_FORWARD, NULL, NULL, NULL,
                      INT64_MAX);
    give(ref);
    return sh_handle_failed(ref->pool->id, ref->record == NULL && status != 0
                                               ? status
                                               : SHUNT_ECLOSED);
}

static shunt_future *step(unsigned kind, shunt_future *f,
                          const shunt_task *task, const void *ctx,
                          const char *where)
{
    shunt_future *passed = NULL;
    int64_t deadline_ns = INT64_MAX;
    struct sh_ref ref;
    int rc = sh_handle_find(sh_handle_of(f), SH_OWN, &ref);
    int status;

    if (rc != 0) {
        drop_ctx(NULL, task, ctx);
        return sh_handle_failed(0, rc);
    }
    if (ref.record == NULL)
        passed = pass_reserved(kind, &ref);
    if (passed != NULL) {
        drop_ctx(ref.pool, task, ctx);
        return passed;
    }
    rc = check(ref.pool, task, ctx);
    if (rc == 0 && kind == SH_KIND_RECOVER && ref.record != NULL)
        rc = check_result(ref.record, task);
    /* A finally runs whatever happens. */
    if (rc == 0 && kind != SH_KIND_FINALLY)
        rc = sh_deadline_inherit(ref.pool, &deadline_ns);
    if (rc != 0) {
        drop_ctx(ref.pool, task, ctx);
        give(&ref);
        return sh_handle_failed(ref.pool->id, rc);
    }
    status = sh_ref_status(&ref);
    /* Whether a step of what is pending must run is seen when that settles.
     * relaxed: the gate is looked at when the step is ready, too */
    if (status != SHUNT_PENDING && sh_load_rlx(&ref.pool->gate) == SH_STOPPED) {
        drop_ctx(ref.pool, task, ctx);
        return step_in_stopped(kind, &ref, status);
    }
    return attach(ref.pool, &ref, kind, task, ctx, where, deadline_ns);
}

shunt_future *shunt_then_task(shunt_future *f, const shunt_task *task,
                              const void *ctx, const char *where)
{
    shunt_future *next = ctx == NULL ? then_plain(f, task, where) : NULL;

    return SH_LIKELY(next != NULL) ? next
                                   : step(SH_KIND_THEN, f, task, ctx, where);
}

shunt_future *shunt_recover_task(shunt_future *f, const shunt_task *task,
                                 const void *ctx, const char *where)
{
    return step(SH_KIND_RECOVER, f, task, ctx, where);
}

shunt_future *shunt_finally_task(shunt_future *f, const shunt_task *task,
                                 const void *ctx, const char *where)
{
    return step(SH_KIND_FINALLY, f, task, ctx, where);
}

shunt_future *shunt_via(shunt_pool *name, shunt_future *f)
{
    struct sh_pool *pool;
    struct sh_ref ref;
    int rc = sh_handle_find(sh_handle_of(f), SH_OWN, &ref);

    if (rc != 0)
        return sh_handle_failed(0, rc);
    rc = sh_pool_find(name, &pool);
    if (rc != 0) {
        give(&ref);
        return sh_handle_failed(0, rc);
    }
    return attach(pool, &ref, SH_KIND_FORWARD, NULL, NULL, NULL, INT64_MAX);
}

/* The time of a timeout is up as it is made. */
static void end_now(shunt_future *f)
{
    struct sh_work work = { 0 };
    struct sh_ref ref;

    if (sh_handle_find(sh_handle_of(f), SH_LOOK, &ref) == 0 &&
        ref.record != NULL && sh_phase_of(ref.word) == SH_WAIT &&
        sh_settle_begin(ref.record, ref.word, sh_outcome_from(SHUNT_ETIMEDOUT)))
        sh_work_settle(&work, ref.pool, ref.record);
    sh_work_do(&work);
}

shunt_future *shunt_timeout_here(shunt_future *f, int64_t ns, const char *where)
{
    int64_t deadline_ns = INT64_MAX;
    bool pending;
    struct sh_ref ref;
    int rc = sh_handle_find(sh_handle_of(f), SH_OWN, &ref);

    if (rc != 0)
        return sh_handle_failed(0, rc);
    if (ref.record == NULL)
        return f; /* it has settled */
    pending = !sh_is_settled(ref.word);
    if (pending && ns > 0)
        deadline_ns = sh_pool_after(ref.pool, ns);
    f = attach(ref.pool, &ref, SH_KIND_FORWARD, NULL, NULL, where, deadline_ns);
    if (pending && ns <= 0)
        end_now(f);
    return f;
}
