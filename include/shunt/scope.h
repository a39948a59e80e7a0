/* SPDX-License-Identifier: MIT */
/*
 * shunt/scope.h - tasks that do not outlive the block which started them.
 *
 *     shunt_scope *scope;
 *     int rc = shunt_scope_open(&scope, pool, NULL);
 *
 *     for (int i = 0; i < n; i++)
 *         (void)shunt_scope_submit(scope, fetch, &urls[i]);
 *     rc = shunt_scope_close(scope, NULL);
 *
 * A scope owns the tasks that are submitted in it, its children. Closing it
 * waits for all of them. The first that fails has the others cancelled, and
 * every error is collected, that of the child submitted first in front.
 *
 * Members of a scope are its children, and tasks that were submitted in a scope
 * which a member opened in the same pool. What else a task starts (a plain
 * shunt_submit, steps, maps) does not belong to its scope.
 *
 * A shunt_scope * is a name, as a handle is: one that was closed, or never was
 * a scope, is SHUNT_EINVAL in every call; in a forked child, SHUNT_EFORKED. It
 * may be handed to other threads and tasks. But a scope that a task opened
 * belongs to it: if the task ends with the scope open, the children are
 * cancelled and not waited for, and the name is void. A pool that is shut down
 * does not wait for scopes, only for tasks; close them all the same, before
 * shunt_pool_free.
 *
 * After the nurseries of Trio (Smith, "Notes on structured concurrency", 2018)
 * and the gates of Seastar.
 */
#ifndef SHUNT_SCOPE_H
#define SHUNT_SCOPE_H

#include "shunt/compose.h"

SHUNT_BEGIN_

typedef struct shunt_scope shunt_scope;

typedef struct shunt_scope_options {
    /* So many ns from the opening all children must have ended; 0: no deadline,
     * negative: it is past (SHUNT_ETIMEDOUT). What it means for a child that is
     * late: shunt_submit_options. A scope that a task opens has the task's
     * deadline, if that is earlier; who submits in it does not matter. */
    int64_t deadline_ns SHUNT_DEFAULT_(0);
    /* A child that fails does not have the others cancelled. */
    bool keep_going SHUNT_DEFAULT_(false);
    /* For scopes that live long: a child that has succeeded, or was cancelled,
     * is let go of at once, so that only failures take memory, and of those
     * the first 64 are kept. Handles that shunt_scope_submit returned are the
     * caller's alone then: release them. */
    bool forget SHUNT_DEFAULT_(false);
} shunt_scope_options;

/*
 * Open a scope in a pool; inside a task NULL is the current one. options may be
 * NULL and is not kept. It takes memory of the pool until it is closed: some
 * 128 bytes, and 32 more beside each child.
 *
 * Blocks:  never.
 * Threads: any, and any task.
 * Errors:  SHUNT_EINVAL, SHUNT_ENOMEM, SHUNT_ECLOSED, SHUNT_EFORKED;
 *          SHUNT_ETIMEDOUT, the deadline is past. *scope_out is unwritten then.
 */
SHUNT_API int shunt_scope_open_sized(shunt_scope **scope_out, shunt_pool *pool,
                                     size_t options_size,
                                     const shunt_scope_options *options);
#define shunt_scope_open(scope_out, pool, ...)                         \
    shunt_scope_open_sized(scope_out, pool, sizeof(shunt_scope_options), \
                           __VA_ARGS__)

/*
 * shunt_scope_submit(scope, fn, in): as shunt_submit, and the task is a child
 * of the scope. shunt_scope_submit_here is the function under the macro.
 *
 * The handle is the caller's, as that of shunt_submit is: take it, release it,
 * compose it, or ignore it, since closing the scope gives it back if it is
 * still the caller's then. That the scope waits for a child does not count as
 * wanting it: the loser of a race is cancelled, and a take by the only handle
 * takes the memory along.
 *
 * Never NULL; what was not accepted is a future that has failed, and no child:
 *
 * Blocks:  never.
 * Threads: any, and any task; while the scope is being closed, only members.
 * Errors:  as shunt_submit; SHUNT_EINVAL (no scope), SHUNT_ECANCELED (the scope
 *          was cancelled, or a child has failed), SHUNT_ECLOSED (it is being
 *          closed). A child whose deadline is past is accepted, and fails.
 */
SHUNT_API shunt_future *shunt_scope_submit_here(shunt_scope *scope,
                                                const shunt_task *task,
                                                const void *in,
                                                const char *where);
#define shunt_scope_submit(scope, fn, ...)           \
    shunt_scope_submit_here(scope, &shunt_task_##fn, \
                            SHUNT_IN_(fn, __VA_ARGS__), SHUNT_HERE_)

/*
 * Wait for all children, those that members submit meanwhile included. Returns
 * 0 if all have succeeded; else the status of the first that failed, in the
 * order of submission. Children that were only cancelled count if there is
 * nothing else: SHUNT_ECANCELED, also if a task was turned away because the
 * scope was cancelled. shunt_last_error then has the record of that failure,
 * with every failure as its causes, lowest index first.
 *
 * all, which may be NULL, gets handles to the children in the order of
 * submission, whatever became of them; of a scope with .forget, to the failures
 * that it kept. They are the caller's, and so is the array: give both back with
 * shunt_results_release. It is empty where the scope was not brought to its
 * end. Of a value that was taken before, the memory is not there any more.
 *
 * Takes the scope, and every handle of shunt_scope_submit that was not given
 * back, but where it says below that the scope stays.
 *
 * If the calling task has been asked to cancel, or is while it waits, the
 * children are asked as well, and waited for. If it was given up, at its
 * deadline or by SHUNT_KILL, they are asked and not waited for, and the result
 * is SHUNT_ECANCELED.
 *
 * Blocks:  parks the task; outside, sleeps the thread.
 * Threads: any, and any task but a member. Of two that close it, one does.
 * Errors:  those of the children; SHUNT_EINVAL (no scope, or somebody else is
 *          closing it); SHUNT_EDEADLK in a member, which would wait for itself:
 *          the scope stays as it is; SHUNT_ENOMEM, no memory to wait with or
 *          for *all: the scope stays, shut for others, and is to be closed
 *          again, if need be without all; SHUNT_ECLOSED: it is of another
 *          pool, which was freed meanwhile. Where a child has failed with one
 *          of these codes, a second call is SHUNT_EINVAL.
 */
SHUNT_API int shunt_scope_close(shunt_scope *scope, shunt_results *all);

/*
 * Ask all children to cancel, as shunt_cancel does, and accept no more. The
 * scope is still to be closed. The same happens when a child fails, and when
 * the task that opened it, or closes it, is asked to cancel.
 *
 * Returns 1 if that may help, 0 if all have settled, negative: SHUNT_EINVAL,
 * SHUNT_EFORKED.
 *
 * Blocks:  never.
 * Threads: any, and any task, members too.
 */
SHUNT_API int shunt_scope_cancel(shunt_scope *scope);

/*
 * Give back what shunt_scope_close put into *all: the handles that have not
 * been given back or taken, and the array. *all is then empty; a copy of it must
 * not be given back again, nor may it be looked into. What a task got goes with
 * the task in any case, and all of it with the pool: call this before
 * shunt_pool_free.
 *
 * Blocks:  never.
 * Threads: what a task got, only that task; else any, and any task.
 * Errors:  SHUNT_EINVAL (all is NULL; the results of another task, or of a
 *          combinator, which are lent), SHUNT_EFORKED; *all is unchanged then.
 */
SHUNT_API int shunt_results_release(shunt_results *all);

SHUNT_END_

#endif /* SHUNT_SCOPE_H */
