/* SPDX-License-Identifier: MIT */
/*
 * future_rows_test.c - the rows of FutureTests in the list that follows
 * CPython's test_concurrent_futures (CPython test/test_concurrent_futures/
 * test_future.py): what a future answers in each state, and what runs when
 * it settles.
 *
 * shunt has no callbacks: shunt_finally is what is called for every outcome,
 * and its own failure is that of its own future, which is told to a hook if
 * nobody looks at it.
 *
 *   row                       when    why not here
 *   class_str                 never   there are no classes
 */
#include <pthread.h>
#include <string.h>

#include "../api/told.h"

/* ---- what a callback saw ---- */

struct seen {
    struct tally *calls, *status, *task_code;
};

static int see(const shunt_outcome *in, const struct seen *ctx, shunt_none *out)
{
    (void)out;
    tally_add(ctx->calls, 1);
    tally_add(ctx->status, in->status);
    tally_add(ctx->task_code, in->error->task_code);
    return 0;
}
SHUNT_STEP(see, shunt_outcome, struct seen, shunt_none)

static int see_value(const long *in, struct tally *const *ctx, long *out)
{
    tally_add(*ctx, *in);
    *out = *in;
    return 0;
}
SHUNT_STEP(see_value, long, struct tally *, long)

static int raise_error(const shunt_outcome *in, const struct seen *ctx,
                       shunt_none *out)
{
    see(in, ctx, out);
    return shunt_fail(66, "the callback fails");
}
SHUNT_STEP(raise_error, shunt_outcome, struct seen, shunt_none)

static struct seen new_seen(void)
{
    return (struct seen){ stage_tally(), stage_tally(), stage_tally() };
}

static void assert_saw(struct seen seen, int status, int task_code)
{
    assert_long(tally_of(seen.calls), 1);
    assert_long(tally_of(seen.status), status);
    assert_long(tally_of(seen.task_code), task_code);
}

enum state {
    PENDING,
    SUCCEEDED,
    FAILED,
    CANCELLED,
    STATES
};
static const int statuses[STATES] = { SHUNT_PENDING, 0, SHUNT_EFAILED,
                                      SHUNT_ECANCELED };

static void settle(struct stage_promise made, enum state state)
{
    if (state == SUCCEEDED)
        stage_give(made.promise, 5);
    else if (state == FAILED)
        assert_ok(shunt_promise_fail(made.promise, 13, "unlucky"));
    else if (state == CANCELLED)
        assert_ok(shunt_promise_drop(made.promise));
}

static void check_callback(enum state state, bool late)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct seen seen = new_seen();

    if (late)
        settle(made, state);
    shunt_future *f = shunt_finally_with(made.future, see, &seen);
    if (!late) {
        assert_status(shunt_status(f), SHUNT_PENDING);
        assert_long(tally_of(seen.calls), 0);
        settle(made, state);
    }
    assert_joins(f, statuses[state]);
    assert_saw(seen, statuses[state], state == FAILED ? 13 : 0);
    harness_free(pool);
}

/* done_callback_with_result */
static void a_callback_sees_a_result(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct tally *value = stage_tally();

    check_callback(SUCCEEDED, false);
    shunt_future *f = shunt_then_with(made.future, see_value, &value);
    settle(made, SUCCEEDED);
    assert_takes(f, 5);
    assert_long(tally_of(value), 5);
    harness_free(pool);
}

/* done_callback_with_exception */
static void a_callback_sees_a_failure(void)
{
    check_callback(FAILED, false);
}

/* done_callback_with_cancel */
static void a_callback_sees_a_cancellation(void)
{
    check_callback(CANCELLED, false);
}

static void check_raising(bool late)
{
    struct told *told = told_pool(1);
    struct stage_promise made = stage_promise(told->pool);
    struct seen raising = new_seen(), again = new_seen(), seen = new_seen();

    if (late)
        settle(made, SUCCEEDED);
    shunt_future *bad =
        shunt_finally_with(shunt_retain(made.future), raise_error, &raising);
    shunt_future *unseen =
        shunt_finally_with(shunt_retain(made.future), raise_error, &again);
    shunt_future *good =
        shunt_finally_with(shunt_retain(made.future), see, &seen);
    if (!late)
        settle(made, SUCCEEDED);
    assert_fails_with(bad, 66);
    assert_string_equal(shunt_error_of(bad)->task, "raise_error");
    assert_takes(good, 5);
    assert_saw(raising, 0, 0);
    assert_saw(seen, 0, 0);
    assert_takes(made.future, 5);
    assert_ok(shunt_release(bad));
    assert_ok(shunt_release(unseen));
    assert_told(told, 1);
    assert_long(told->codes[0], 66);
    assert_saw(again, 0, 0);
}

/* done_callback_raises */
static void a_callback_that_fails_does_not_stop_the_others(void)
{
    check_raising(false);
}

/* done_callback_already_successful */
static void a_late_callback_sees_a_result(void)
{
    check_callback(SUCCEEDED, true);
}

/* done_callback_already_failed */
static void a_late_callback_sees_a_failure(void)
{
    check_callback(FAILED, true);
}

/* done_callback_already_cancelled */
static void a_late_callback_sees_a_cancellation(void)
{
    check_callback(CANCELLED, true);
}

/* done_callback_raises_already_succeeded */
static void a_late_callback_that_fails_is_reported_by_its_future(void)
{
    check_raising(true);
}

/* ---- states ---- */

/* repr */
static void the_name_of_a_status_tells_the_state(void)
{
    static const char *const names[STATES] = { "SHUNT_PENDING", "success",
                                               "SHUNT_EFAILED",
                                               "SHUNT_ECANCELED" };
    shunt_pool *pool = harness_pool(1);

    for (int state = 0; state < STATES; state++) {
        struct stage_promise made = stage_promise(pool);
        settle(made, (enum state)state);
        assert_string_equal(shunt_code_name(shunt_status(made.future)),
                            names[state]);
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

/* cancel */
static void only_what_is_not_over_can_be_cancelled(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold running = stage_hold(pool);
    shunt_future *queued = shunt_submit(pool, stage_nothing, NULL);

    assert_long(shunt_cancel(queued), 1);
    assert_joins(queued, SHUNT_ECANCELED);
    /* CPython's answer for a running future is false; here it may help. */
    assert_long(shunt_cancel(running.future), 1);
    assert_long(shunt_cancel(running.future), 1);
    assert_status(shunt_status(running.future), SHUNT_PENDING);
    stage_let(running);
    for (int state = SUCCEEDED; state < STATES; state++) {
        struct stage_promise made = stage_promise(pool);
        settle(made, (enum state)state);
        assert_long(shunt_cancel(made.future), 0);
        assert_status(shunt_status(made.future), statuses[state]);
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

/* cancel, of what waits for a time */
static void what_waits_for_a_time_can_be_cancelled_until_it_has_come(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int how = 0; how < 4; how++) {
        bool comes = how % 2 == 1;
        shunt_future *f = how < 2
                              ? shunt_delay(pool, 5)
                              : shunt_timeout(stage_promise(pool).future, 5);
        stage_advance(pool, comes ? 5 : 4);
        assert_long(shunt_cancel(f), comes ? 0 : 1);
        assert_long(shunt_cancel(f), 0);
        assert_joins(f, !comes    ? SHUNT_ECANCELED
                        : how < 2 ? 0
                                  : SHUNT_ETIMEDOUT);
    }
    harness_free(pool);
}

/* cancelled, done, running: what can be told apart from outside */
static void the_status_is_that_of_the_state(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold running = stage_hold(pool);
    shunt_future *queued = shunt_submit(pool, stage_nothing, NULL);

    assert_status(shunt_status(running.future), SHUNT_PENDING);
    assert_status(shunt_status(queued), SHUNT_PENDING);
    for (int state = PENDING; state < STATES; state++) {
        struct stage_promise made = stage_promise(pool);
        settle(made, (enum state)state);
        assert_status(shunt_status(made.future), statuses[state]);
        assert_true((shunt_peek(made.future, long) != NULL) ==
                    (state == SUCCEEDED));
        assert_ok(shunt_release(made.future));
    }
    stage_let(running);
    assert_joins(queued, 0);
    harness_free(pool);
}

/* ---- results and exceptions ---- */

/* result_with_timeout */
static void a_wait_of_no_time_tells_the_state(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int state = PENDING; state < STATES; state++) {
        struct stage_promise made = stage_promise(pool);
        settle(made, (enum state)state);
        assert_status(shunt_await_for(made.future, 0), statuses[state]);
        if (state == SUCCEEDED)
            assert_long(*shunt_peek(made.future, long), 5);
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

static shunt_future *at_once(shunt_pool *pool, enum state state)
{
    struct stage_promise made = stage_promise(pool);

    settle(made, state);
    return shunt_timeout(made.future, 0);
}

/* result_with_timeout: as a future, a timeout of no time fails what is pending
 * and passes on whatever has settled */
static void a_timeout_of_no_time_tells_the_state(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int state = PENDING; state < STATES; state++) {
        shunt_future *f = at_once(pool, (enum state)state);
        assert_status(shunt_status(f),
                      state == PENDING ? SHUNT_ETIMEDOUT : statuses[state]);
        assert_true((shunt_peek(f, long) != NULL) == (state == SUCCEEDED));
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

/* result_with_timeout: a wait of some time. The clock stands still but for
 * shunt_pool_advance. */
static void a_timeout_of_some_time_is_that_of_the_clock(void)
{
    for (int state = PENDING; state < STATES; state++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct stage_promise made = stage_promise(pool);
        shunt_future *f = shunt_timeout(made.future, 5);
        stage_advance(pool, 4);
        assert_status(shunt_status(f), SHUNT_PENDING);
        settle(made, (enum state)state);
        stage_advance(pool, 1);
        assert_joins(f, state == PENDING ? SHUNT_ETIMEDOUT : statuses[state]);
        harness_free(pool);
    }
}

struct waiter {
    shunt_future *future;
    struct latch *ready;
    int status;
    long value;
    int task_code;
};

static void *wait_in_thread(void *user)
{
    struct waiter *waiter = user;

    latch_raise(waiter->ready);
    waiter->status = shunt_await(waiter->future);
    waiter->task_code = shunt_error_of(waiter->future)->task_code;
    (void)shunt_take(waiter->future, &waiter->value);
    return NULL;
}

/* Method: the thread is waiting, or about to, when the future settles. */
static struct waiter wake_waiter(enum state state)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct waiter waiter = { made.future, stage_latch(), -1, -1, -1 };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &waiter), 0);
    assert_true(latch_reaches(waiter.ready, 1));
    settle(made, state);
    pthread_join(thread, NULL);
    harness_free(pool);
    return waiter;
}

/* result_with_success */
static void a_waiter_wakes_for_a_value(void)
{
    for (int i = 0; i < 50; i++) {
        struct waiter waiter = wake_waiter(SUCCEEDED);
        assert_status(waiter.status, 0);
        assert_long(waiter.value, 5);
    }
}

/* result_with_cancel */
static void a_waiter_wakes_for_a_cancellation(void)
{
    for (int i = 0; i < 50; i++) {
        struct waiter waiter = wake_waiter(CANCELLED);
        assert_status(waiter.status, SHUNT_ECANCELED);
        assert_long(waiter.value, -1);
    }
}

/* exception_with_timeout */
static void the_error_tells_the_state_without_waiting(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int state = PENDING; state < STATES; state++) {
        struct stage_promise made = stage_promise(pool);
        settle(made, (enum state)state);
        const shunt_error *error = shunt_error_of(made.future);
        assert_non_null(error);
        assert_long(error->code, state == FAILED || state == CANCELLED
                                     ? statuses[state]
                                     : 0);
        assert_long(error->task_code, state == FAILED ? 13 : 0);
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

/* exception_with_timeout */
static void the_error_of_a_timeout_of_no_time_tells_the_state(void)
{
    shunt_pool *pool = harness_pool(1);
    static const int codes[STATES] = { SHUNT_ETIMEDOUT, 0, SHUNT_EFAILED,
                                       SHUNT_ECANCELED };

    for (int state = PENDING; state < STATES; state++) {
        shunt_future *f = at_once(pool, (enum state)state);
        const shunt_error *error = shunt_error_of(f);
        assert_long(error->code, codes[state]);
        assert_long(error->task_code, state == FAILED ? 13 : 0);
        assert_true(strlen(error->message) > 5);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

/* exception_with_success */
static void a_waiter_wakes_for_a_failure(void)
{
    for (int i = 0; i < 50; i++) {
        struct waiter waiter = wake_waiter(FAILED);
        assert_status(waiter.status, SHUNT_EFAILED);
        assert_long(waiter.task_code, 13);
    }
}

/* multiple_set_result */
static void a_second_result_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);

    stage_give(made.promise, 1);
    assert_status(shunt_promise_give(made.promise, &(long){ 2 }), SHUNT_EINVAL);
    assert_takes(made.future, 1);
    harness_free(pool);
}

/* multiple_set_exception */
static void a_second_failure_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);

    assert_ok(shunt_promise_fail(made.promise, 2, NULL));
    assert_status(shunt_promise_fail(made.promise, 3, NULL), SHUNT_EINVAL);
    assert_fails_with(made.future, 2);
    assert_ok(shunt_release(made.future));
    harness_free(pool);
}

struct looker {
    shunt_future *future;
    struct latch *ready;
    int torn;
};

static void *look_in_thread(void *user)
{
    struct looker *looker = user;
    int status = SHUNT_PENDING;

    latch_raise(looker->ready);
    /* Bounded by the promise, which is kept in any case. */
    while (status == SHUNT_PENDING) {
        status = shunt_status(looker->future);
        const long *value = shunt_peek(looker->future, long);
        if (status == 0 && (value == NULL || *value != 5))
            looker->torn++;
        if (value != NULL && *value != 5)
            looker->torn++;
    }
    return NULL;
}

/* get_snapshot */
static void nobody_sees_a_state_without_its_value(void)
{
    enum {
        LOOKERS = 2
    };
    shunt_pool *pool = harness_pool(1);
    int rounds = harness_slowness() > 10 ? 50 : 500;

    for (int round = 0; round < rounds; round++) {
        struct stage_promise made = stage_promise(pool);
        struct looker lookers[LOOKERS];
        pthread_t threads[LOOKERS];
        struct latch *ready = stage_latch();
        for (int i = 0; i < LOOKERS; i++) {
            lookers[i] = (struct looker){ made.future, ready, 0 };
            assert_int_equal(
                pthread_create(&threads[i], NULL, look_in_thread, &lookers[i]),
                0);
        }
        assert_true(latch_reaches(ready, LOOKERS));
        settle(made, SUCCEEDED);
        for (int i = 0; i < LOOKERS; i++) {
            pthread_join(threads[i], NULL);
            assert_long(lookers[i].torn, 0);
        }
        assert_takes(made.future, 5);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_callback_sees_a_result),
    CLAIM(a_callback_sees_a_failure),
    CLAIM(a_callback_sees_a_cancellation),
    CLAIM(a_callback_that_fails_does_not_stop_the_others),
    CLAIM(a_late_callback_sees_a_result),
    CLAIM(a_late_callback_sees_a_failure),
    CLAIM(a_late_callback_sees_a_cancellation),
    CLAIM(a_late_callback_that_fails_is_reported_by_its_future),
    CLAIM(the_name_of_a_status_tells_the_state),
    CLAIM(only_what_is_not_over_can_be_cancelled),
    CLAIM(what_waits_for_a_time_can_be_cancelled_until_it_has_come),
    CLAIM(the_status_is_that_of_the_state),
    CLAIM(a_wait_of_no_time_tells_the_state),
    CLAIM(a_timeout_of_no_time_tells_the_state),
    CLAIM(a_timeout_of_some_time_is_that_of_the_clock),
    CLAIM(a_waiter_wakes_for_a_value),
    CLAIM(a_waiter_wakes_for_a_cancellation),
    CLAIM(the_error_tells_the_state_without_waiting),
    CLAIM(the_error_of_a_timeout_of_no_time_tells_the_state),
    CLAIM(a_waiter_wakes_for_a_failure),
    CLAIM(a_second_result_is_refused),
    CLAIM(a_second_failure_is_refused),
    CLAIM(nobody_sees_a_state_without_its_value),
};

HARNESS_MAIN(claims)
