/* SPDX-License-Identifier: MIT */
/*
 * worker/close.c - closing a scope: waiting until nobody is in it.
 *
 * Its record settles then, so this is a wait like any other; but that of a task
 * goes on when the task is asked to cancel, since nothing shall outlive the
 * scope. The children are asked then: by whoever asks the task, if that is of
 * the scope's pool, and else by the task when it wakes up.
 *
 * Edges.
 *   accepted task/handle.c
 */
#include "future/scope.h"
#include "future/value.h"
#include "task/error.h"
#include "worker/worker.h"

/* Wait for all that are in it: 0, or why that cannot be. */
static int wait_for_children(struct sh_ref *scope)
{
    struct sh_work work = { 0 };
    int rc = sh_await_record(scope, false);

    if (rc != SHUNT_ECANCELED)
        return rc;
    (void)sh_scope_ask(&work, scope);
    sh_work_do(&work);
    return sh_await_record(scope, true);
}

/* The same in a task of the scope's pool: it is cancelled with the task. The
 * edge of the task that opened it stays where it is if that is another. */
static int wait_in_task(struct sh_run *run, struct sh_ref *scope)
{
    struct sh_record *r = scope->record;
    uint64_t whose = sh_load_acq(&r->input); /* acquire: accepted */
    sh_hook hook = r->data.scoping.hook;
    bool ours = whose == sh_heed_name(run);
    struct sh_work work = { 0 };
    int rc = 0;

    if (!ours) {
        sh_store_rel(&r->input, sh_heed_name(run)); /* release: accepted */
        if (!sh_heed_hang(&work, run, r, &hook))
            rc = SHUNT_ENOMEM;
        sh_work_do(&work);
    }
    if (rc == 0)
        rc = wait_for_children(scope);
    if (rc != SHUNT_ENOMEM || !ours)
        (void)sh_edge_detach(run->pool, run->record, hook,
                             sh_heed_target(run->pool, r));
    if (rc == SHUNT_ENOMEM)
        sh_store_rel(&r->input, whose); /* release: accepted */
    return rc;
}

/* The caller does not close it after all: another may. It is the last that the
 * run has noted. */
static void forget_note(struct sh_run *run, const struct sh_ref *scope)
{
    if (run != NULL && run->promises.count > 0 &&
        run->promises.names[run->promises.count - 1] == scope->handle)
        run->promises.count--;
}

/* Why a scope that the caller closes is not looked at, or 0. It has ended
 * then, and *all_out, if wanted, is filled. */
static int bring_to_end(struct sh_ref *scope, shunt_results *all_out)
{
    struct sh_run *run = sh_here.run;
    struct sh_work work = { 0 };
    int rc;

    /* If we die, it is given up: so we name it, and it us. */
    if (run != NULL)
        sh_run_note_promise(run, scope->handle);
    if (!sh_scope_shut(&work, scope, run)) {
        forget_note(run, scope);
        sh_work_do(&work);
        return SHUNT_EINVAL;
    }
    sh_work_do(&work);
    rc = run != NULL && run->pool == scope->pool ? wait_in_task(run, scope)
                                                 : wait_for_children(scope);
    if (rc == 0 && all_out != NULL && !sh_scope_results(scope, all_out))
        rc = SHUNT_ENOMEM;
    if (rc == SHUNT_ECANCELED) /* given up: it will end without us */
        sh_scope_give(&work, scope);
    else if (rc == SHUNT_ENOMEM)
        sh_scope_unshut(scope);
    if (rc == SHUNT_ENOMEM)
        forget_note(run, scope);
    sh_work_do(&work);
    return rc;
}

SH_ON_STACK int shunt_scope_close(shunt_scope *scope, shunt_results *all)
{
    struct sh_work work = { 0 };
    struct sh_ref ref = { .handle = 0 };
    bool guest;
    int rc = sh_scope_find(scope, &ref);
    unsigned id = sh_handle_pool(ref.handle);

    if (all != NULL)
        *all = (shunt_results){ .count = 0 };
    if (rc == 0 && sh_scope_has_us(&ref))
        rc = SHUNT_EDEADLK;
    guest = rc == 0 && sh_pool_enter(id);
    if (rc == 0 && !guest)
        rc = SHUNT_EINVAL;
    if (rc == 0)
        rc = bring_to_end(&ref, all);
    if (rc != 0) {
        sh_remember_error(sh_error_constant(rc));
    } else {
        rc = sh_scope_status(&ref);
        /* Now, though whoever has settled it may not be done with it. */
        sh_scope_let_go(&work, ref.pool, ref.record);
        sh_scope_give(&work, &ref);
        sh_work_do(&work);
    }
    /* If its pool went while we waited, we are no guest any more. */
    if (guest && ref.pool != NULL)
        sh_pool_exit(id);
    return rc;
}
