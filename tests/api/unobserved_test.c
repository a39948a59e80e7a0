/* SPDX-License-Identifier: MIT */
/*
 * unobserved_test.c - failures that nobody looks at are told to a hook, once,
 * and no others are.
 *
 * Method. A hook notes what it is told. Promises are failed by the claims
 * themselves, so that it is known when a future has settled though nobody has
 * looked at it; where tasks are needed, what they told is counted when their
 * pool has been freed.
 */
#include "told.h"

/* ---- what is reported ---- */

static void a_failure_is_reported_when_its_future_is_freed(void)
{
    struct told *told = told_pool(1);
    shunt_future *f = stage_failed(told->pool, 7);

    assert_long(told_count(told), 0);
    assert_ok(shunt_release(f));
    assert_long(told_count(told), 1);
    assert_long(told->codes[0], 7);
    assert_told(told, 1);
}

static void what_nobody_waits_for_is_reported(void)
{
    struct told *told = told_pool(2);

    for (int i = 0; i < 3; i++)
        assert_ok(
            shunt_release(shunt_submit(told->pool, stage_fail, &(int){ 9 })));
    assert_told(told, 3);
    assert_string_equal(told->task, "stage_fail");
    for (int i = 0; i < 3; i++)
        assert_long(told->codes[i], 9);
}

static void what_is_held_until_the_pool_goes_is_reported_then(void)
{
    struct told *told = told_pool(1);

    (void)stage_failed(told->pool, 7);
    (void)shunt_then(stage_failed(told->pool, 8), stage_add_one);
    (void)shunt_submit(told->pool, stage_fail, &(int){ 9 });
    assert_told(told, 3);
}

static void a_promise_whose_future_is_gone_is_reported(void)
{
    struct told *told = told_pool(1);
    struct stage_promise made = stage_promise(told->pool);

    assert_ok(shunt_release(made.future));
    assert_ok(shunt_promise_fail(made.promise, 7, "too late"));
    assert_long(told_count(told), 1);
    assert_told(told, 1);
}

static void the_last_of_several_handles_counts(void)
{
    struct told *told = told_pool(1);
    shunt_future *f = stage_failed(told->pool, 7);
    shunt_future *again = shunt_retain(f);

    assert_ok(shunt_release(f));
    assert_long(told_count(told), 0);
    assert_ok(shunt_release(again));
    assert_told(told, 1);
}

/* What goes to another pool of processes is copied: it is that pool's then. */
static void a_failure_that_is_passed_on_is_reported_once(void)
{
    struct told *told = told_pool(1);
    struct told *other = told_pool(1);
    shunt_future *f = shunt_submit(told->pool, stage_fail, &(int){ 14 });

    for (int i = 0; i < 10; i++)
        f = shunt_then(f, stage_add_one);
    f = shunt_when_all(&f, 1);
    f = shunt_via(other->pool, f);
    assert_ok(shunt_release(shunt_race(&f, 1)));
    told_drain(told);
    bool copied = harness_isolated();
    assert_told(other, copied ? 1 : 0);
    assert_told(told, copied ? 0 : 1);
    assert_string_equal((copied ? other : told)->task, "stage_fail");
}

static int return_future(shunt_future *const *in, shunt_future **out)
{
    *out = shunt_retain(*in);
    return 0;
}
SHUNT_TASK(return_future, shunt_future *, shunt_future *)

static void a_failure_that_was_returned_as_a_future_is_reported(void)
{
    struct told *told = told_pool(1);
    shunt_future *failed = stage_failed(told->pool, 7);

    assert_ok(shunt_release(shunt_submit(told->pool, return_future, &failed)));
    told_drain(told);
    assert_long(told_count(told), 0);
    assert_ok(shunt_release(failed));
    assert_told(told, 1);
}

static int leave_children(const shunt_none *in, long *out)
{
    (void)in;
    *out = 0;
    for (int i = 0; i < 4; i++)
        if (shunt_submit(NULL, stage_fail, &(int){ 20 + i }) == NULL)
            return 1;
    return 0;
}
SHUNT_TASK(leave_children, shunt_none, long)

static void what_a_task_leaves_behind_is_reported(void)
{
    struct told *told = told_pool(2);

    assert_takes(shunt_submit(told->pool, leave_children, NULL), 0);
    assert_told(told, 4);
}

/* ---- what is not ---- */

static void look_await(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    assert_status(shunt_await(f), SHUNT_EFAILED);
    assert_ok(shunt_release(f));
}

static void look_await_for(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    assert_status(shunt_await_for(f, 0), SHUNT_EFAILED);
    assert_ok(shunt_release(f));
}

static void look_status(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    assert_status(shunt_status(f), SHUNT_EFAILED);
    assert_ok(shunt_release(f));
}

static void look_error_of(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    assert_long(shunt_error_of(f)->code, SHUNT_EFAILED);
    assert_ok(shunt_release(f));
}

static void look_peek(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    assert_null(shunt_peek(f, long));
    assert_ok(shunt_release(f));
}

static void look_take(shunt_pool *pool, shunt_future *f)
{
    long value;

    (void)pool;
    assert_status(shunt_take(f, &value), SHUNT_EFAILED);
}

static void look_join(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    assert_status(shunt_join(f), SHUNT_EFAILED);
}

static void look_recover(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    assert_takes(shunt_recover(f, stage_task_code), 7);
}

static void look_by_another_handle(shunt_pool *pool, shunt_future *f)
{
    shunt_future *again = shunt_retain(f);

    (void)pool;
    assert_status(shunt_join(again), SHUNT_EFAILED);
    assert_ok(shunt_release(f));
}

static void look_behind_a_step(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    f = shunt_then(f, stage_add_one);
    assert_status(shunt_join(shunt_finally(f, stage_look_on)), SHUNT_EFAILED);
}

static void look_through_a_combinator(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    assert_status(shunt_join(shunt_when_all(&f, 1)), SHUNT_EFAILED);
}

static int ask_status(shunt_future *const *in, long *out)
{
    *out = shunt_status(*in);
    return 0;
}
SHUNT_TASK(ask_status, shunt_future *, long)

static void look_in_a_task(shunt_pool *pool, shunt_future *f)
{
    assert_takes(shunt_submit(pool, ask_status, &f), SHUNT_EFAILED);
    assert_ok(shunt_release(f));
}

static void what_was_looked_at_is_not_reported(void)
{
    static void (*const looks[])(shunt_pool *, shunt_future *) = {
        look_await,
        look_await_for,
        look_status,
        look_error_of,
        look_peek,
        look_take,
        look_join,
        look_recover,
        look_by_another_handle,
        look_behind_a_step,
        look_through_a_combinator,
        look_in_a_task,
    };

    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        struct told *told = told_pool(1);

        harness_note("look %zu", i);
        looks[i](told->pool, stage_failed(told->pool, 7));
        assert_told(told, 0);
    }
}

static void a_look_before_it_failed_is_none(void)
{
    struct told *told = told_pool(1);
    struct stage_promise made = stage_promise(told->pool);

    assert_status(shunt_status(made.future), SHUNT_PENDING);
    assert_null(shunt_peek(made.future, long));
    assert_long(shunt_error_of(made.future)->code, 0);
    assert_status(shunt_await_for(made.future, SHUNT_MS(1)), SHUNT_PENDING);
    assert_ok(shunt_promise_fail(made.promise, 7, "now"));
    assert_ok(shunt_release(made.future));
    assert_told(told, 1);
}

static void a_finally_does_not_look(void)
{
    struct told *told = told_pool(1);
    shunt_future *f = stage_failed(told->pool, 7);

    assert_ok(shunt_release(shunt_finally(f, stage_look_on)));
    assert_told(told, 1);
    assert_long(told->codes[0], 7);
}

static int fail_after(const shunt_outcome *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 30;
}
SHUNT_TASK(fail_after, shunt_outcome, shunt_none)

/* Its failure is one cause more of the first, and both are one report. */
static void a_finally_that_fails_too_adds_to_the_report(void)
{
    struct told *told = told_pool(1);
    shunt_future *f = stage_failed(told->pool, 7);

    assert_ok(shunt_release(shunt_finally(f, fail_after)));
    assert_told(told, 1);
    assert_long(told->codes[0], 7);
    assert_long((long)told->causes[0], 1);
}

static int fail_to_mend(const shunt_error *in, long *out)
{
    (void)out;
    return in->task_code + 1;
}
SHUNT_TASK(fail_to_mend, shunt_error, long)

static void a_recover_that_fails_is_reported_for_itself(void)
{
    struct told *told = told_pool(1);
    shunt_future *f = stage_failed(told->pool, 7);

    assert_ok(shunt_release(shunt_recover(f, fail_to_mend)));
    assert_told(told, 1);
    assert_long(told->codes[0], 8);
}

static void successes_are_not_reported(void)
{
    struct told *told = told_pool(1);

    for (int i = 0; i < 3; i++)
        assert_ok(
            shunt_release(shunt_submit(told->pool, stage_same, &(long){ i })));
    assert_ok(shunt_release(stage_given(told->pool, 1)));
    assert_told(told, 0);
}

static void refused_submits_are_not_reported(void)
{
    struct told *told = told_pool(1);

    assert_ok(shunt_release(shunt_submit_here(told->pool, NULL, NULL, NULL)));
    told_drain(told);
    assert_ok(
        shunt_release(shunt_submit(told->pool, stage_same, &(long){ 1 })));
    assert_ok(shunt_release(shunt_then(
        shunt_submit(told->pool, stage_same, &(long){ 1 }), stage_add_one)));
    assert_told(told, 0);
}

/* ---- fail_as ---- */

static int join_and_fail_as(shunt_future *const *in, long *out)
{
    (void)out;
    return shunt_await(*in) == SHUNT_EFAILED ? shunt_fail_as(*in) : 1;
}
SHUNT_TASK(join_and_fail_as, shunt_future *, long)

/* The task has looked at the failure, and made it its own. */
static void who_fails_as_another_is_to_be_looked_at_in_turn(void)
{
    struct told *told = told_pool(1);
    shunt_future *f = stage_failed(told->pool, 7);
    shunt_future *task = shunt_submit(told->pool, join_and_fail_as, &f);

    assert_status(shunt_join(task), SHUNT_EFAILED);
    assert_ok(shunt_release(f));
    assert_long(told_count(told), 0);
    f = stage_failed(told->pool, 8);
    assert_ok(shunt_release(shunt_submit(told->pool, join_and_fail_as, &f)));
    told_drain(told);
    assert_ok(shunt_release(f));
    assert_told(told, 1);
    assert_long(told->codes[0], 8);
}

/* ---- the hook ---- */

static void use_shunt(struct told *told)
{
    told->also = NULL;
    assert_ok(shunt_release(stage_failed(told->pool, 8)));
    assert_ok(
        shunt_release(shunt_submit(told->pool, stage_same, &(long){ 1 })));
}

static void a_hook_may_call_shunt(void)
{
    struct told *told = told_pool(1);

    told->also = use_shunt;
    assert_ok(shunt_release(stage_failed(told->pool, 7)));
    assert_long(told_count(told), 2);
    assert_told(told, 2);
}

/* Method: a task gives the last handle back itself, so the hook runs in the
 * midst of it. */
static int fail_and_release(const shunt_none *in, long *out)
{
    shunt_promise *promise;
    shunt_future *future;

    (void)in;
    if (shunt_promise_new(NULL, long, &promise, &future) != 0 ||
        shunt_promise_fail(promise, 7, "in a task") != 0 ||
        shunt_release(future) != 0)
        return 1;
    *out = shunt_pool_current() != NULL;
    return 0;
}
SHUNT_TASK(fail_and_release, shunt_none, long)

static void a_hook_runs_outside_of_any_task(void)
{
    struct told *told = told_pool(1);

    assert_takes(shunt_submit(told->pool, fail_and_release, NULL), 1);
    assert_told(told, 1);
}

static void a_hook_may_ignore(void)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1,
                                 .unobserved = shunt_unobserved_ignore }));
    assert_ok(shunt_release(stage_failed(pool, 7)));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_failure_is_reported_when_its_future_is_freed),
    CLAIM(what_nobody_waits_for_is_reported),
    CLAIM(what_is_held_until_the_pool_goes_is_reported_then),
    CLAIM(a_promise_whose_future_is_gone_is_reported),
    CLAIM(the_last_of_several_handles_counts),
    CLAIM(a_failure_that_is_passed_on_is_reported_once),
    CLAIM(a_failure_that_was_returned_as_a_future_is_reported),
    CLAIM(what_a_task_leaves_behind_is_reported),
    CLAIM(what_was_looked_at_is_not_reported),
    CLAIM(a_look_before_it_failed_is_none),
    CLAIM(a_finally_does_not_look),
    CLAIM(a_finally_that_fails_too_adds_to_the_report),
    CLAIM(a_recover_that_fails_is_reported_for_itself),
    CLAIM(successes_are_not_reported),
    CLAIM(refused_submits_are_not_reported),
    CLAIM(who_fails_as_another_is_to_be_looked_at_in_turn),
    CLAIM(a_hook_may_call_shunt),
    CLAIM(a_hook_runs_outside_of_any_task),
    CLAIM(a_hook_may_ignore),
};

HARNESS_MAIN(claims)
