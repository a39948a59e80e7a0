/* SPDX-License-Identifier: MIT */
/*
 * hook_test.c - a hook cannot bring the pool to its end for which it is called,
 * whichever thread calls it: that would wait for the hook.
 *
 * Method. Each kind of hook is made to run on the thread that runs the claim,
 * and notes what it was answered. Before that was looked at, some of the calls
 * did not return, and others freed the pool under their caller.
 */
#include "told.h"

struct answers {
    shunt_pool *pool;
    unsigned calls;
    bool outside; /* of any task */
    int shut[3], freed;
};

static void try_to_end(struct answers *a)
{
    a->calls++;
    a->outside = shunt_pool_current() == NULL;
    for (int how = SHUNT_DRAIN; how <= SHUNT_KILL; how++)
        a->shut[how] =
            shunt_pool_shutdown(a->pool, (enum shunt_how)how, 0, NULL);
    a->freed = shunt_pool_free(a->pool);
}

/* The pool is as it was. */
static void assert_refused(const struct answers *a)
{
    assert_long(a->calls, 1);
    assert_true(a->outside);
    for (int how = SHUNT_DRAIN; how <= SHUNT_KILL; how++)
        assert_status(a->shut[how], SHUNT_EDEADLK);
    assert_status(a->freed, SHUNT_EDEADLK);
    assert_joins(shunt_submit(a->pool, stage_nothing, NULL), 0);
}

static void unobserved(const shunt_error *error, void *user)
{
    struct answers *a = user;

    (void)error;
    if (a->calls == 0)
        try_to_end(a);
}

static void a_hook_for_failures_cannot_end_its_pool(void)
{
    struct answers a = { .calls = 0 };

    assert_ok(
        shunt_pool_new(&a.pool, &(shunt_options){ .workers = 1,
                                                  .unobserved = unobserved,
                                                  .unobserved_arg = &a }));
    assert_ok(shunt_release(stage_failed(a.pool, 7)));
    assert_refused(&a);
    harness_free(a.pool);
}

static void on_cancel(void *user)
{
    try_to_end(user);
}

static void who_is_told_of_a_cancel_cannot_end_its_pool(void)
{
    struct answers a = { .pool = harness_pool(1) };
    struct stage_promise made = stage_promise(a.pool);

    assert_ok(shunt_promise_on_cancel(made.promise, on_cancel, &a));
    assert_long(shunt_cancel(made.future), 1);
    assert_refused(&a);
    assert_ok(shunt_promise_drop(made.promise));
    assert_joins(made.future, SHUNT_ECANCELED);
    harness_free(a.pool);
}

static void drop(void *in)
{
    try_to_end(*(struct answers **)in);
}

static int with_answers(struct answers *const *in, long *out)
{
    (void)in, (void)out;
    return 0;
}
SHUNT_TASK(with_answers, struct answers *, long, .drop = drop)

static int with_context(const long *in, struct answers *const *ctx, long *out)
{
    (void)ctx;
    return stage_same(in, out);
}
SHUNT_STEP(with_context, long, struct answers *, long, .drop = drop)

static void who_drops_an_input_cannot_end_its_pool(void)
{
    struct answers dropped = { .pool = harness_pool(1) };
    struct answers *a = &dropped;
    struct stage_hold hold = stage_hold(a->pool);
    shunt_future *f = shunt_submit(a->pool, with_answers, &a);

    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    stage_let(hold);
    assert_refused(a);
    harness_free(a->pool);
}

static void who_drops_a_context_cannot_end_its_pool(void)
{
    struct answers dropped = { .pool = harness_pool(1) };
    struct answers *a = &dropped;
    struct stage_promise made = stage_promise(a->pool);
    shunt_future *f = shunt_then_with(made.future, with_context, &a);

    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    assert_refused(a);
    assert_ok(shunt_promise_drop(made.promise));
    harness_free(a->pool);
}

static void let_go(void *future)
{
    (void)shunt_release(future);
}

/* Method: the failure of another pool is freed in a hook of the first. */
static void nor_can_a_hook_that_is_called_within_another(void)
{
    struct told *told = told_pool(1);
    struct answers a = { .pool = told->pool };
    shunt_pool *other = NULL;

    assert_ok(shunt_pool_new(&other, &(shunt_options){ .workers = 1,
                                                       .unobserved = unobserved,
                                                       .unobserved_arg = &a }));
    struct stage_promise made = stage_promise(told->pool);
    shunt_future *failed = stage_failed(other, 7);
    assert_ok(shunt_promise_on_cancel(made.promise, let_go, failed));
    assert_long(shunt_cancel(made.future), 1);
    assert_refused(&a);
    assert_ok(shunt_promise_drop(made.promise));
    assert_joins(made.future, SHUNT_ECANCELED);
    harness_free(other);
    assert_told(told, 0);
}

static void end_another(void *other)
{
    if (shunt_pool_shutdown(other, SHUNT_CANCEL, 0, NULL) == 0)
        (void)shunt_pool_free(other);
}

static void a_hook_may_end_another_pool(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    struct stage_promise made = stage_promise(pool);

    assert_ok(shunt_promise_on_cancel(made.promise, end_another, other));
    assert_long(shunt_cancel(made.future), 1);
    assert_status(shunt_pool_workers(other), SHUNT_EINVAL);
    assert_ok(shunt_promise_drop(made.promise));
    assert_joins(made.future, SHUNT_ECANCELED);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_hook_for_failures_cannot_end_its_pool),
    CLAIM(who_is_told_of_a_cancel_cannot_end_its_pool),
    CLAIM(who_drops_an_input_cannot_end_its_pool),
    CLAIM(who_drops_a_context_cannot_end_its_pool),
    CLAIM(nor_can_a_hook_that_is_called_within_another),
    CLAIM(a_hook_may_end_another_pool),
};

HARNESS_MAIN(claims)
