/* SPDX-License-Identifier: MIT */
/*
 * worker/run.c - running one task, from the claim to the settling.
 *
 * Edges.
 *   attached task/error.c
 *   death    process/recover.c
 *   accepted  future/submit.c: write READY -> claim: read state
 *   ready     future/deliver.c: write READY -> claim: read state
 *   claim     claim: write RUNNING -> cancel, shutdown: read state
 *   idle      future/settle.c
 *   noted     future/ledger.c
 *   broken    loop.c: write broken -> claim: read broken
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "future/combine.h"
#include "future/map.h"
#include "future/retry.h"
#include "future/scope.h"
#include "future/timer.h"
#include "future/value.h"
#include "task/error.h"
#include "task/taken.h"
#include "task/ticket.h"
#include "worker/blocking.h"
#include "worker/sample.h"

/* What a task's function is called with. */
struct call {
    const void *in, *ctx;
    void *out;
    shunt_outcome outcome; /* of finally */
};

static bool is_step(const struct sh_record *r)
{
    return (r->task->shape_ & SHUNT_SHAPE_STEP_) != 0;
}

/* The name of a type, if the file that declares the task knows it. */
static const char *name_of(const char *type)
{
    return type == NULL || type[0] == '\0' ? "a type" : type;
}

/* Say in the error why the function is not called. */
static SH_COLD bool misfit(struct sh_run *run, const struct sh_value *found)
{
    const shunt_task *t = run->record->task;
    struct sh_failure f = { .code = SHUNT_EINVAL };
    char text[160];

    if (found == NULL)
        snprintf(text, sizeof text, "there is no value to continue with");
    else
        snprintf(text, sizeof text,
                 "takes %s (%zu bytes), but continues a future of %s "
                 "(%zu bytes)",
                 name_of(t->in_type_), t->in_size_, name_of(found->type),
                 found->size);
    f.text = text;
    sh_error_attach(run->pool, run->record, &f);
    return false;
}

/* Find the input of a continuation. False, with a failure noted, if it is not
 * what the function expects. */
static bool find_input(struct sh_run *run, unsigned kind, struct call *call)
{
    static const struct sh_value error = { .size = sizeof(shunt_error),
                                           .type = "shunt_error" };
    static const struct sh_value outcome = { .size = sizeof(shunt_outcome),
                                             .type = "shunt_outcome" };
    const shunt_task *t = run->record->task;
    struct sh_ref ref;
    struct sh_value v;

    if (kind == SH_KIND_THEN) {
        call->in = sh_plain_out(run->pool, run->input, t);
        if (SH_LIKELY(call->in != NULL))
            return true;
    }
    if (sh_handle_find(run->input, SH_LOOK, &ref) != 0)
        return misfit(run, NULL);
    if (kind == SH_KIND_RECOVER) {
        call->in = sh_error_tell(sh_error_of(&ref));
        sh_mark_seen(run->input, true);
        return t->in_size_ == error.size || misfit(run, &error);
    }
    if (kind == SH_KIND_FINALLY) {
        call->outcome = (shunt_outcome){ sh_ref_status(&ref),
                                         sh_error_tell(sh_error_of(&ref)) };
        call->in = &call->outcome;
        return t->in_size_ == outcome.size || misfit(run, &outcome);
    }
    if (!sh_value_of(&ref, &v))
        return misfit(run, NULL);
    call->in = v.bytes;
    return (v.size == t->in_size_ && v.align == t->in_align_) ||
           misfit(run, &v);
}

static bool check_arguments(struct sh_run *run, const struct call *call,
                            unsigned kind)
{
    const shunt_task *t = run->record->task;

    if (sh_kind_is_task(kind) &&
        !sh_pointers_pass(run, "in", call->in, t->in_size_, 0))
        return false;
    return call->ctx == NULL ||
           sh_pointers_pass(run, "ctx", call->ctx, t->ctx_size_, 0);
}

/* The task's function has returned rc, not 0: what that means. */
static unsigned failed(struct sh_run *run, int rc, bool again)
{
    struct sh_record *r = run->record;
    uint64_t w = sh_load_acq(&r->state); /* acquire: claim */
    struct sh_failure f = {
        .code = SHUNT_EFAILED, .task_code = rc, .text = run->text, .attempts = 1
    };

    if (rc == SHUNT_ECANCELED && (w & SH_CANCEL) != 0) {
        f.code = SHUNT_ECANCELED;
        f.task_code = 0;
    } else if (run->fail_as != 0 && rc == run->fail_code && !again) {
        run->spare = run->input;
        run->input = run->fail_as;
        run->fail_as = 0;
        /* This task has looked at it; now it is this task's own. */
        sh_mark_seen(run->input, false);
        sh_sample_failed(run);
        return SH_OUTCOME_FORWARD;
    }
    if (f.code == SHUNT_EFAILED)
        sh_sample_failed(run);
    sh_error_attach(run->pool, r, &f);
    return sh_outcome_from(f.code);
}

/* A finally has failed after a failure: that one's record, one cause more. */
static unsigned failed_again(struct sh_run *run, const shunt_error *first,
                             int rc)
{
    struct sh_record *r = run->record;
    size_t n = first->cause_count;
    size_t bytes = (n + 1) * sizeof(shunt_error *);
    const shunt_error **causes = sh_heap_scratch(&run->pool->heap, bytes);
    struct sh_failure f = sh_failure_of(first);

    (void)failed(run, rc, true);
    if (causes == NULL)
        return SH_OUTCOME_FORWARD;
    if (n > 0)
        memcpy(causes, first->causes, n * sizeof *causes);
    causes[n] = sh_error_find(r, sh_outcome_from(SHUNT_EFAILED));
    f.causes = causes;
    f.cause_count = n + 1;
    sh_error_attach(run->pool, r, &f);
    sh_heap_put(&run->pool->heap, causes, bytes);
    sh_mark_seen(run->input, true); /* what it says is said here now */
    return sh_outcome_from(first->code);
}

/* The future that the task returned, lent to the record: its outcome becomes
 * the record's. False if it is none. */
static bool flatten(struct sh_run *run, shunt_future *inner)
{
    struct sh_ref ref;

    sh_give_now(run->fail_as);
    run->fail_as = 0;
    if (sh_handle_find(sh_handle_of(inner), SH_OWN, &ref) != 0 ||
        ref.record == run->record)
        return false;
    /* The name first: who repairs the run gives back what was lent. */
    run->fail_as = ref.handle;
    if (ref.record == NULL)
        return true;
    sh_store_bare_rel(&run->fail_as,
                      ref.handle | SH_HANDLE_LENT); /* release: noted */
    if (sh_handle_lend(&ref, SH_WATCHED))
        return true;
    run->fail_as = 0;
    return false;
}

static void drop_promise(uint64_t handle)
{
    unsigned id = sh_handle_pool(handle);

    if (!sh_pool_enter(id))
        return;
    (void)shunt_promise_drop(
        (shunt_promise *)(uintptr_t)(handle | SH_PROMISE_BIT));
    sh_pool_exit(id);
}

static void give_handles(struct sh_run *run)
{
    struct sh_work work = { 0 };
    uint32_t count = sh_load_bare_acq(&run->handles.count); /* acquire: noted */

    for (uint32_t i = 0; i < count; i++)
        if ((run->handles.names[i] & SH_HANDLE_LENT) == 0)
            sh_work_give(&work, run->handles.names[i]);
    for (uint32_t i = 0; i < run->promises.count; i++)
        drop_promise(run->promises.names[i]);
    sh_work_do(&work);
    sh_ledger_fini(run, &run->handles);
    sh_ledger_fini(run, &run->promises);
}

/* Everything that the run kept goes where it belongs. True if the record must
 * stay, since tasks that it submitted are still at work. */
static bool end_run(struct sh_run *run)
{
    bool keeps;

    if (run->promises.count > 0)
        sh_scopes_leave(run);
    keeps = (run->handles.count > 0 || run->unnoted) && sh_keep(run);
    if (run->spare != 0)
        sh_give_now(run->spare);
    if (run->heed != 0)
        sh_give_now(run->heed);
    sh_run_attach(run);
    if (run->handles.room > 0 || run->promises.room > 0)
        give_handles(run);
    sh_run_forget_text(run);
    if (SH_UNLIKELY(run->last != NULL))
        sh_error_free(run->last);
    return keeps;
}

/* The record waits once more, for the future that its function returned. */
static void follow_inner(struct sh_run *run, unsigned kind)
{
    struct sh_record *r = run->record;
    unsigned id = sh_handle_pool(run->fail_as);
    struct sh_work work = { 0 };
    bool entered;
    struct sh_ref ref;

    entered = sh_pool_enter(id);
    if (!entered || sh_handle_find(run->fail_as, SH_LOOK, &ref) != 0) {
        ref.record = NULL; /* its pool was freed meanwhile */
        ref.reserved = sh_outcome_from(SHUNT_ECLOSED);
    }
    (void)sh_deps_renew(r);
    sh_store_rel(&r->kind, (uint8_t)(kind | SH_KIND_FLAT)); /* release:
                                                             * accepted */
    if (!sh_follow(&work, run->pool, r, &ref))
        sh_settle_returned(&work, run->pool, r);
    else if (kind != SH_KIND_FINALLY)
        sh_cancel_marked(&work, run->pool, r, run->generation);
    if (entered)
        sh_pool_exit(id);
    sh_work_do(&work);
}

/* What it means for the record that its function returned rc. */
static unsigned outcome_of(struct sh_run *run, unsigned kind,
                           const struct call *call, int rc)
{
    if (rc == 0)
        return kind == SH_KIND_FINALLY ? SH_OUTCOME_FORWARD : 0;
    if (kind == SH_KIND_FINALLY && call->outcome.status != 0)
        return failed_again(run, call->outcome.error, rc);
    return failed(run, rc, false);
}

static void finish_run(struct sh_run *run, unsigned kind,
                       const struct call *call, bool called, int rc)
{
    struct sh_record *r = run->record;
    const shunt_task *t = r->task;
    bool flat = called && rc == 0 && (t->shape_ & SHUNT_SHAPE_OUT_FUTURE_) != 0;
    unsigned outcome = sh_outcome_from(SHUNT_EINVAL);
    struct sh_work drops = { 0 };
    uint64_t input;
    bool keeps;

    if (flat && !flatten(run, *(shunt_future **)call->out)) {
        sh_error_attach(
            run->pool, r,
            &(struct sh_failure){ .code = SHUNT_EINVAL,
                                  .text = "returned no valid future",
                                  .attempts = 1 });
        flat = false;
    } else if (called) {
        outcome = outcome_of(run, kind, call, rc);
    }
    sh_input_drop(&drops, run->pool, r, kind);
    sh_work_do(&drops);
    if (flat) {
        if (t->traits_.inherits && run->input != 0)
            (void)sh_run_hold(run, run->input);
        else
            run->spare = run->input;
        (void)end_run(run);
        follow_inner(run, kind);
        return;
    }
    if (run->fail_as != 0)
        sh_give_now(run->fail_as);
    keeps = end_run(run);
    input = run->input;
    /* The causes of a finally that failed after a failure lie in its input. */
    if (outcome == SH_OUTCOME_FORWARD || keeps || t->traits_.inherits ||
        (kind == SH_KIND_FINALLY && rc != 0 && call->outcome.status != 0)) {
        sh_store_rlx(&r->input, input); /* relaxed: published by settling */
        input = 0;
        if (outcome == SH_OUTCOME_FORWARD) {
            struct sh_work work = { 0 };

            sh_shorten(&work, run->pool, r);
            sh_work_do(&work);
        }
    } else {
        sh_hand_hold(run->pool, r, input, 0);
        sh_store_rlx(&r->input, 0); /* relaxed: published by settling */
    }
    sh_settle_running(run->pool, r, outcome, input);
}

/* Before a run whose process has died is ended as if it had returned: what of
 * that was done already, or half done. */
static void take_over(struct sh_work *work, struct sh_run *run)
{
    run->last = NULL; /* memory of that process */
    sh_run_unwait(run);
    sh_keep_unhold(work, run);
    sh_scopes_desert(work, run);
    sh_run_cut(run);
    /* What was lent to queues of that process, or just to be, is nobody's. */
    for (uint32_t i = 0; i < run->handles.count; i++)
        if ((run->handles.names[i] & SH_HANDLE_LENT) != 0) {
            sh_work_give(work, run->handles.names[i]);
            sh_work_give(work, run->handles.names[i] & ~SH_HANDLE_LENT);
        }
}

/* What a run that is to be forgotten has submitted is of no use any more. */
static void cancel_children(struct sh_run *run)
{
    struct sh_work work = { 0 };

    for (uint32_t i = 0; i < run->handles.count; i++) {
        uint64_t name = run->handles.names[i];

        if ((name & SH_HANDLE_LENT) == 0)
            sh_work_abandon(&work, name);
    }
    sh_work_do(&work);
}

void sh_run_abort(struct sh_run *run, unsigned outcome)
{
    struct sh_record *r = run->record;
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in RUNNING */
    struct sh_work drops = { 0 };
    uint64_t input = run->input;
    bool keeps;

    take_over(&drops, run);
    /* The task that it is a part of may run again. */
    if (SH_UNLIKELY(sh_record_is_taken(r)))
        cancel_children(run);
    sh_input_drop(&drops, run->pool, r, kind);
    sh_work_do(&drops);
    if (run->fail_as != 0)
        sh_give_now(run->fail_as);
    keeps = end_run(run);
    if (keeps || r->task->traits_.inherits) {
        sh_store_rlx(&r->input, input); /* relaxed: published by settling */
        input = 0;
    } else {
        sh_store_rlx(&r->input, 0); /* relaxed: published by settling */
    }
    sh_settle_running(run->pool, r, outcome, input);
}

void sh_run_renew(struct sh_run *run)
{
    struct sh_pool *pool = run->pool;
    struct sh_record *r = run->record;
    uint64_t w = sh_load_acq(&r->state); /* acquire: claim */
    struct sh_work work = { 0 };
    bool keeps;

    take_over(&work, run);
    sh_work_do(&work);
    if (run->fail_as != 0)
        sh_give_now(run->fail_as);
    /* What heeds this run would otherwise wait for its end, which waits for
     * what it has submitted. */
    sh_heed_end(&work, pool, r, w);
    sh_work_do(&work);
    cancel_children(run);
    keeps = end_run(run);
    (void)sh_deps_renew(r);
    sh_store_rlx(&r->input, run->input); /* relaxed: published by the CAS */
    while (sh_phase_of(w) == SH_RUNNING)
        if (sh_cas_sc(&r->state, &w, /* seq_cst: idle */
                      sh_word_to(w, keeps ? SH_WAIT : SH_READY, 0))) {
            if (keeps)
                sh_settle_renewed(&work, pool, r, run->generation);
            else
                sh_make_ready(&work, pool, r, sh_word_to(w, SH_READY, 0));
            sh_work_do(&work);
            return;
        }
    /* It was given up meanwhile. */
    sh_input_drop(&work, pool, r, sh_load_rlx(&r->kind)); /* relaxed: as word */
    sh_store_rlx(&r->input, 0); /* relaxed: it has settled */
    sh_settle_returned(&work, pool, r);
    sh_work_give(&work, run->input);
    sh_work_do(&work);
}

/* The end of a run that left nothing behind but its value. What the worker is
 * to run next, claimed, or NULL. */
static struct sh_record *finish_plain(struct sh_worker *w, struct sh_run *run)
{
    struct sh_record *r = run->record, *next = NULL;
    uint64_t input = run->input;

    sh_store_rlx(&r->input, 0); /* relaxed: published by settling */
    if (r->task->shape_ != SH_SHAPE_TAKEN && w->resumed == SH_NONE &&
        sh_load_rlx(&w->post->resumed) == SH_NONE && /* relaxed: a look */
        !sh_worker_shares(w->tick))
        next = sh_settle_onward(run->pool, r, SH_OWNER_WORKER(w->index));
    else
        sh_settle_running(run->pool, r, 0, 0);
    if (input != 0)
        sh_settle_spent(run->pool, input);
    return next;
}

SH_ON_STACK struct sh_record *sh_worker_execute(struct sh_worker *w,
                                                struct sh_record *r,
                                                uint64_t word, unsigned kind,
                                                bool above)
{
    const shunt_task *t = r->task;
    bool checks = w->pool->checks_pointers && t->shape_ != SH_SHAPE_TAKEN;
    struct sh_run run;
    struct call call = { 0 };
    struct sh_sample sample;
    bool given_up, called;
    int rc = 0;

    sh_run_init(&run, w->pool, r, word);
    run.above = above;
    if (SH_UNLIKELY(sh_is_bound(r))) {
        run.deadline_ns = sh_bound_of(r)->deadline_ns;
        run.scope = sh_bound_of(r)->scope;
    }
    sh_edge_prefetch(w->pool, r);
    given_up = !sh_worker_begins(w, &run);
    run.input = sh_load_rlx(&r->input); /* relaxed: ours in RUNNING */
    sh_store_rlx(&r->input, (uint64_t)(uintptr_t)&run); /* relaxed: ours */
    if (kind == SH_KIND_TASK)
        call.in = sh_record_in(r);
    else if (kind == SH_KIND_TRY)
        call.in = sh_ticket_of(r)->in;
    else if (is_step(r))
        call.ctx = sh_record_in(r);
    call.out = sh_record_out_clear(r);
    sh_here.run = &run;
    called = sh_kind_is_task(kind) || find_input(&run, kind, &call);
    if (SH_UNLIKELY(checks))
        called = called && check_arguments(&run, &call, kind);
    called = called && SH_LIKELY(!given_up);
    if (SH_LIKELY(called)) {
        if (!sh_counts_as_usual(w, r, above))
            sh_sample_unusual(w, &run, &sample, kind);
        rc = t->call_(call.in, call.ctx, call.out);
        if (SH_UNLIKELY(run.sample != NULL))
            sh_sample_end(&sample, &run);
    }
    /* relaxed: what the timekeeper says now is of no use any more */
    if (SH_UNLIKELY(sh_load_rlx(&w->post->blocked) != 0))
        sh_blocking_over(w);
    if (SH_UNLIKELY(checks))
        called = called && (rc != 0 || sh_pointers_pass(&run, "out", call.out,
                                                        t->out_size_, 1));
    sh_here.run = NULL;
    if (SH_LIKELY(called && rc == 0) && sh_run_is_plain(&run, kind))
        return finish_plain(w, &run);
    finish_run(&run, kind, &call, called, rc);
    return NULL;
}

/* A task that must not start any more: settle it with code. */
static void refuse(struct sh_worker *w, struct sh_record *r, uint64_t word,
                   int code)
{
    struct sh_work work = { 0 };

    if (sh_settle_begin(r, word, sh_outcome_from(code))) {
        sh_work_settle(&work, w->pool, r);
        sh_work_do(&work);
    }
}

/* Steps, the one behind the other, of which the first is claimed. */
static void run_onward(struct sh_worker *w, struct sh_record *r, bool above)
{
    do {
        uint64_t word = sh_load_rlx(&r->state); /* relaxed: ours in RUNNING */
        w->tick++;
        sh_count(&w->post->counts.run, 1);
        r = sh_worker_execute(w, r, word, SH_KIND_THEN, above);
    } while (r != NULL);
}

static SH_FORCE_INLINE void run_hint(struct sh_worker *w, uint64_t hint,
                                     bool above)
{
    struct sh_pool *pool = w->pool;
    struct sh_record *r = sh_record_at(pool, sh_hint_index(hint));
    uint64_t ahead = sh_deque_glance(&w->post->deque, 3);
    uint64_t word = sh_load_acq(&r->state); /* acquire: accepted, ready */
    uint64_t running;
    unsigned kind;

    if (ahead != 0)
        sh_table_prefetch(&pool->records, sh_hint_index(ahead));
    if (sh_phase_of(word) != SH_READY ||
        sh_generation_of(word) != sh_hint_generation(hint))
        return;
    kind = sh_load_rlx(&r->kind); /* relaxed: the claim validates it */
    if (kind != SH_KIND_DEAL) {
        /* relaxed: a shutdown looks at all records itself */
        if (SH_UNLIKELY(sh_load_rlx(&pool->gate) >= SH_CANCELLING) &&
            kind != SH_KIND_FINALLY) {
            refuse(w, r, word, SHUNT_ECANCELED);
            return;
        }
        if (SH_UNLIKELY(sh_load_acq(&pool->broken) != 0)) { /* acquire:
                                                             * broken */
            refuse(w, r, word, SHUNT_EBROKEN);
            return;
        }
    }
    if (SH_UNLIKELY(pool->mixed) && !sh_passing_takes(w, r, word, hint))
        return;
    if (SH_UNLIKELY(pool == sh_self()->served) &&
        !sh_care_takes(w, r, kind, hint))
        return;
    do {
        if (sh_phase_of(word) != SH_READY ||
            sh_generation_of(word) != sh_hint_generation(hint))
            return;
        running = sh_word_to(word, SH_RUNNING, SH_OWNER_WORKER(w->index));
    } while (!sh_cas_acqrel(&r->state, &word, running)); /* acq_rel: claim */
    if ((running & SH_OUTSIDE) != 0)
        sh_worker_took(w);
    kind = sh_load_rlx(&r->kind); /* relaxed: ours in RUNNING */
    if (SH_UNLIKELY(kind == SH_KIND_TRY) && sh_retry_withdraw(pool, r))
        return;
    if (SH_UNLIKELY(kind == SH_KIND_RETRY)) {
        sh_retry_turn(pool, r, running);
    } else if (kind != SH_KIND_DEAL) {
        sh_count(&w->post->counts.run, 1);
        r = sh_worker_execute(w, r, running, kind, above);
        if (r != NULL)
            run_onward(w, r, above);
    } else if (!sh_map_deal(pool, r, hint, w->post)) {
        sh_settle_running(pool, r, 0, 0);
    }
}

SH_HOT void sh_worker_run(struct sh_worker *w, uint64_t hint)
{
    run_hint(w, hint, false);
}

void sh_worker_run_above(struct sh_worker *w, uint64_t hint)
{
    run_hint(w, hint, true);
}
