/* SPDX-License-Identifier: MIT */
/*
 * scope_rows_test.c - what Trio's tests say of nurseries, and Seastar's of
 * gates, for scopes: both meanings of "leave when all are done".
 *
 *   row                                  where, or why not here
 *   nursery: two_child_crashes           here, with keep_going
 *   nursery: nursery_main_block_error    C has no exceptions: a block that
 *                                        fails cancels its scope, and closes it
 *   nursery: start (with a handshake)    a promise that the child keeps
 *   gate: hold, enter and leave          calls in it are counted like children
 *
 * More of nurseries is in ../api/scope_test.c and scope_cancel_test.c.
 */
#include <pthread.h>

#include "../api/stage.h"

static shunt_scope *scope_in(shunt_pool *pool,
                             const shunt_scope_options *options)
{
    shunt_scope *scope = NULL;

    assert_ok(shunt_scope_open(&scope, pool, options));
    return scope;
}

/* ---- nurseries ---- */

/* basic_spawn_wait */
static void a_block_ends_after_its_children(void)
{
    shunt_pool *pool = harness_pool(2);
    struct tally *ran = stage_tally();
    shunt_scope *scope = scope_in(pool, NULL);

    for (int i = 0; i < 10; i++)
        (void)shunt_scope_submit(scope, stage_job, &(struct job){ .ran = ran });
    assert_ok(shunt_scope_close(scope, NULL));
    assert_long(tally_of(ran), 10);
    harness_free(pool);
}

static int wait_for(shunt_future *const *in, long *out)
{
    (void)out;
    return shunt_await(*in);
}
SHUNT_TASK(wait_for, shunt_future *, long)

static int fail_beside(shunt_future *const *in, long *out)
{
    shunt_scope *scope;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    if (rc != 0)
        return rc;
    (void)shunt_scope_submit(scope, stage_fail, &(int){ 6 });
    rc = shunt_await(*in);
    *out = rc;
    return shunt_scope_close(scope, NULL) == SHUNT_EFAILED &&
                   shunt_last_error()->task_code == 6
               ? 0
               : 1;
}
SHUNT_TASK(fail_beside, shunt_future *, long)

/* child_crash_wakes_parent. Diverges: the parent is not woken out of another
 * wait by a failure of its children, only out of closing. */
static void a_childs_failure_is_there_when_the_parent_closes(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *f = shunt_submit(pool, fail_beside, &made.future);

    (void)shunt_join(shunt_submit(pool, stage_nothing, NULL));
    stage_give(made.promise, 1);
    assert_takes(f, 0);
    assert_ok(shunt_release(made.future));
    harness_free(pool);
}

/* child_crash_basic: siblings are cancelled, wherever they wait */
static void a_childs_failure_ends_siblings_that_wait(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise never = stage_promise(pool);
    shunt_scope *scope = scope_in(pool, NULL);

    for (int i = 0; i < 20; i++)
        (void)shunt_scope_submit(scope, wait_for, &never.future);
    (void)shunt_scope_submit(scope, stage_fail, &(int){ 4 });
    assert_status(shunt_scope_close(scope, NULL), SHUNT_EFAILED);
    assert_long(shunt_last_error()->task_code, 4);
    assert_status(shunt_status(never.future), SHUNT_PENDING);
    assert_ok(shunt_promise_drop(never.promise));
    assert_ok(shunt_release(never.future));
    harness_free(pool);
}

/* two_child_crashes: both are told */
static void every_childs_failure_is_told(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_scope *scope =
        scope_in(pool, &(shunt_scope_options){ .keep_going = true });

    (void)shunt_scope_submit(scope, stage_fail, &(int){ 1 });
    (void)shunt_scope_submit(scope, stage_fail, &(int){ 2 });
    assert_status(shunt_scope_close(scope, NULL), SHUNT_EFAILED);
    assert_long((long)shunt_last_error()->cause_count, 2);
    harness_free(pool);
}

/* spawn_from_outside: a nursery that is handed on */
static int put_in(shunt_scope *const *in, long *out)
{
    *out = 1;
    (void)shunt_scope_submit(*in, stage_same, out);
    return 0;
}
SHUNT_TASK(put_in, shunt_scope *, long)

static void anybody_may_put_a_child_into_an_open_scope(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_scope *scope = scope_in(pool, NULL);
    shunt_results all;

    assert_takes(shunt_submit(pool, put_in, &scope), 1);
    assert_ok(shunt_scope_close(scope, &all));
    assert_long((long)all.count, 1);
    assert_long(*shunt_peek(all.futures[0], long), 1);
    assert_ok(shunt_results_release(&all));
    harness_free(pool);
}

/* ---- gates ---- */

struct closing {
    shunt_scope *scope;
    struct latch *closed;
    int rc;
};

static void *close_it(void *user)
{
    struct closing *in = user;

    in->rc = shunt_scope_close(in->scope, NULL);
    latch_raise(in->closed);
    return NULL;
}

/* gate: close waits for those within, and refuses those without */
static void a_scope_that_is_closed_refuses_entry_and_waits(void)
{
    shunt_pool *pool = harness_pool(2);
    struct closing in = { scope_in(pool, NULL), stage_latch(), 1 };
    struct job job = { .started = stage_latch(), .go = stage_latch() };
    int status = 0;
    pthread_t thread;

    (void)shunt_scope_submit(in.scope, stage_job, &job);
    assert_true(latch_reaches(job.started, 1));
    assert_int_equal(pthread_create(&thread, NULL, close_it, &in), 0);
    /* Bounded: it closes in a moment. */
    for (long i = 0; i < 10000000 && status != SHUNT_ECLOSED; i++)
        status = shunt_join(shunt_scope_submit(in.scope, stage_nothing, NULL));
    assert_status(status, SHUNT_ECLOSED);
    assert_long(latch_level(in.closed), 0);
    latch_raise(job.go);
    assert_true(latch_reaches(in.closed, 1));
    pthread_join(thread, NULL);
    assert_ok(in.rc);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_block_ends_after_its_children),
    CLAIM(a_childs_failure_is_there_when_the_parent_closes),
    CLAIM(a_childs_failure_ends_siblings_that_wait),
    CLAIM(every_childs_failure_is_told),
    CLAIM(anybody_may_put_a_child_into_an_open_scope),
    CLAIM(a_scope_that_is_closed_refuses_entry_and_waits),
};

HARNESS_MAIN(claims)
