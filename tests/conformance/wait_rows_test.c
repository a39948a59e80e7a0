/* SPDX-License-Identifier: MIT */
/*
 * wait_rows_test.c - the rows of WaitTests and AsCompletedTests in the list
 * that follows CPython's test_concurrent_futures. wait(FIRST_COMPLETED) is
 * race, wait(FIRST_EXCEPTION) is when_all, wait(ALL_COMPLETED) is
 * when_all_settled; a wait's timeout is shunt_await_for.
 *
 * as_completed is a completion queue: shunt_queue_add_all, and then
 * shunt_queue_wait as long as there is something in it. It does for
 * wait(FIRST_COMPLETED) and a wait's timeout as well.
 */
#include "../api/stage.h"

/* ---- WaitTests ---- */

/* first_completed */
static void a_race_ends_with_the_first_future_that_is_over(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise fast = stage_promise(pool);
    struct stage_promise slow = stage_promise(pool);
    shunt_future *kept = shunt_retain(slow.future);
    shunt_future *fs[2] = { slow.future, fast.future };

    shunt_future *race = shunt_race(fs, 2);
    assert_status(shunt_await_for(race, 0), SHUNT_PENDING);
    stage_give(fast.promise, 1);
    assert_settles(race, 0);
    assert_long((long)shunt_peek(race, shunt_winner)->index, 1);
    assert_status(shunt_status(kept), SHUNT_PENDING);
    assert_ok(shunt_release(race));
    stage_give(slow.promise, 2);
    assert_takes(kept, 2);
    harness_free(pool);
}

/* first_completed; here a cancelled future counts at once */
static void a_cancelled_future_ends_a_race_at_once(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued = shunt_submit(pool, stage_nothing, NULL);
    shunt_future *watched = shunt_retain(queued);
    shunt_future *fs[2] = { stage_promise(pool).future, queued };

    shunt_future *race = shunt_race(fs, 2);
    assert_long(shunt_cancel(watched), 1);
    assert_joins(race, SHUNT_ECANCELED);
    assert_joins(watched, SHUNT_ECANCELED);
    stage_let(hold);
    harness_free(pool);
}

/* first_completed_some_already_completed */
static void a_race_with_a_settled_future_does_not_block(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *fs[3] = { stage_promise(pool).future, stage_given(pool, 1),
                            stage_promise(pool).future };

    shunt_future *race = shunt_race(fs, 3);
    assert_ok(shunt_await_for(race, 0));
    assert_long((long)shunt_peek(race, shunt_winner)->index, 1);
    assert_ok(shunt_release(race));
    harness_free(pool);
}

/* first_exception */
static void when_all_ends_with_the_first_failure(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made[3];
    shunt_future *fs[3];

    for (int i = 0; i < 3; i++) {
        made[i] = stage_promise(pool);
        fs[i] = made[i].future;
    }
    shunt_future *all = shunt_when_all(fs, 3);
    stage_give(made[0].promise, 1);
    assert_status(shunt_await_for(all, 0), SHUNT_PENDING);
    assert_ok(shunt_promise_fail(made[1].promise, 9, NULL));
    assert_fails_with(all, 9);
    assert_ok(shunt_release(all));
    harness_free(pool);
}

/* first_exception_some_already_complete: a success does not end it. CPython
 * lets a cancellation pass as well; here it is a failure. */
static void a_settled_success_does_not_end_when_all(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[3] = { stage_given(pool, 1), made.future,
                            stage_given(pool, 3) };

    shunt_future *all = shunt_when_all(fs, 3);
    assert_status(shunt_await_for(all, SHUNT_MS(1)), SHUNT_PENDING);
    assert_ok(shunt_promise_fail(made.promise, 9, NULL));
    assert_fails_with(all, 9);
    assert_ok(shunt_release(all));
    shunt_future *with[2] = { stage_promise(pool).future,
                              stage_cancelled(pool) };
    assert_joins(shunt_when_all(with, 2), SHUNT_ECANCELED);
    harness_free(pool);
}

/* first_exception_one_already_failed */
static void when_all_of_a_failed_future_fails_at_once(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *fs[2] = { stage_promise(pool).future, stage_failed(pool, 9) };

    shunt_future *all = shunt_when_all(fs, 2);
    assert_status(shunt_status(all), SHUNT_EFAILED);
    assert_fails_with(all, 9);
    assert_ok(shunt_release(all));
    harness_free(pool);
}

/* all_completed */
static void when_all_settled_ends_when_every_future_is_over(void)
{
    shunt_pool *pool = harness_pool(2);
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[5] = {
        shunt_submit(pool, stage_same, &(long){ 1 }),
        shunt_submit(pool, stage_fail, &(int){ 2 }),
        stage_cancelled(pool),
        stage_given(pool, 4),
        made.future,
    };
    static const int statuses[5] = { 0, SHUNT_EFAILED, SHUNT_ECANCELED, 0,
                                     SHUNT_EFAILED };

    shunt_future *all = shunt_when_all_settled(fs, 5);
    assert_status(shunt_await_for(all, SHUNT_MS(2)), SHUNT_PENDING);
    assert_ok(shunt_promise_fail(made.promise, 5, NULL));
    assert_settles(all, 0);
    const shunt_results *results = shunt_peek(all, shunt_results);
    for (int i = 0; i < 5; i++)
        assert_status(shunt_status(results->futures[i]), statuses[i]);
    assert_ok(shunt_release(all));
    harness_free(pool);
}

/* timeout: what is over by then, and what is not. The clock stands still but
 * for shunt_pool_advance. */
static void a_timeout_leaves_a_partial_set(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[4] = { shunt_delay(pool, 3), made.future,
                            shunt_delay(pool, 7), stage_failed(pool, 3) };
    shunt_future *watched[4];
    static const int statuses[4] = { 0, SHUNT_PENDING, SHUNT_PENDING,
                                     SHUNT_EFAILED };

    for (int i = 0; i < 4; i++)
        watched[i] = shunt_retain(fs[i]);
    shunt_future *all = shunt_timeout(shunt_when_all_settled(fs, 4), 5);
    stage_advance(pool, 4);
    assert_status(shunt_status(all), SHUNT_PENDING);
    stage_advance(pool, 1);
    assert_joins(all, SHUNT_ETIMEDOUT);
    for (int i = 0; i < 4; i++)
        assert_status(shunt_status(watched[i]), statuses[i]);
    /* What is not over goes on, since it is held. */
    stage_give(made.promise, 2);
    stage_advance(pool, 2);
    assert_joins(watched[0], 0);
    assert_takes(watched[1], 2);
    assert_joins(watched[2], 0);
    assert_joins(watched[3], SHUNT_EFAILED);
    harness_free(pool);
}

/* timeout: a wait that runs out changes nothing */
static void a_wait_that_runs_out_leaves_a_partial_set(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[3] = { stage_given(pool, 1), made.future,
                            stage_failed(pool, 3) };
    shunt_future *watched[3];
    static const int statuses[3] = { 0, SHUNT_PENDING, SHUNT_EFAILED };

    for (int i = 0; i < 3; i++)
        watched[i] = shunt_retain(fs[i]);
    shunt_future *all = shunt_when_all_settled(fs, 3);
    assert_status(shunt_await_for(all, SHUNT_MS(2)), SHUNT_PENDING);
    for (int i = 0; i < 3; i++)
        assert_status(shunt_status(watched[i]), statuses[i]);
    stage_give(made.promise, 2);
    assert_joins(all, 0);
    for (int i = 0; i < 3; i++)
        assert_ok(shunt_release(watched[i]));
    harness_free(pool);
}

/* first_completed, timeout: of a queue */
static void a_queue_gives_the_first_that_is_over_and_keeps_the_rest(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = NULL;
    struct stage_promise made[3];
    shunt_future *fs[3];
    shunt_event events[3];

    assert_ok(shunt_queue_new(&queue));
    for (int i = 0; i < 3; i++) {
        made[i] = stage_promise(pool);
        fs[i] = made[i].future;
    }
    assert_ok(shunt_queue_add_all(queue, fs, 3));
    assert_long(shunt_queue_wait(queue, events, 3, SHUNT_MS(1)), 0);
    stage_give(made[1].promise, 1);
    assert_long(shunt_queue_wait(queue, events, 3, SHUNT_FOREVER), 1);
    assert_long((long)shunt_event_index(&events[0]), 1);
    assert_takes(events[0].future, 1);
    assert_long(shunt_queue_size(queue), 2);
    assert_ok(shunt_queue_free(queue));
    harness_free(pool);
}

/* ---- AsCompletedTests ---- */

/* no_timeout */
static void each_future_is_yielded_once_when_it_is_over(void)
{
    enum {
        N = 90
    };
    shunt_pool *pool = harness_pool(2);
    shunt_queue *queue = NULL;
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[N];
    bool seen[N] = { false };
    int yielded = 0;

    fs[0] = made.future;
    for (long i = 1; i < N; i++)
        fs[i] = i % 3 == 0   ? shunt_submit(pool, stage_same, &i)
                : i % 3 == 1 ? stage_failed(pool, 5)
                             : stage_cancelled(pool);
    assert_ok(shunt_queue_new(&queue));
    assert_ok(shunt_queue_add_all(queue, fs, N));
    while (shunt_queue_size(queue) > 0) {
        shunt_event event;

        assert_long(shunt_queue_wait(queue, &event, 1, SHUNT_FOREVER), 1);
        size_t which = shunt_event_index(&event);
        assert_false(seen[which]);
        seen[which] = true;
        assert_ptr_equal(event.future, fs[which]);
        assert_true(shunt_status(event.future) != SHUNT_PENDING);
        assert_ok(shunt_release(event.future));
        if (++yielded == N - 1)
            stage_give(made.promise, 1);
    }
    assert_long(yielded, N);
    assert_ok(shunt_queue_free(queue));
    harness_free(pool);
}

/* future_times_out, of the futures themselves */
static void what_is_over_is_yielded_before_the_rest_times_out(void)
{
    static const int64_t times[] = { 0, 3 };
    static const int statuses[4] = { 0, SHUNT_EFAILED, SHUNT_ECANCELED,
                                     SHUNT_ETIMEDOUT };

    for (int i = 0; i < 2; i++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        shunt_queue *queue = NULL;
        shunt_future *fs[4] = { stage_given(pool, 1), stage_failed(pool, 2),
                                stage_cancelled(pool),
                                stage_promise(pool).future };
        shunt_event event;

        for (int j = 0; j < 4; j++)
            fs[j] = shunt_timeout(fs[j], times[i]);
        assert_ok(shunt_queue_new(&queue));
        assert_ok(shunt_queue_add_all(queue, fs, 4));
        for (int j = 0; j < 4; j++) {
            if (times[i] > 0 && j == 3) {
                assert_long(shunt_queue_take(queue, &event, 1), 0);
                stage_advance(pool, 3);
            }
            assert_long(shunt_queue_wait(queue, &event, 1, SHUNT_FOREVER), 1);
            assert_joins(event.future, statuses[shunt_event_index(&event)]);
            assert_true(shunt_event_index(&event) < 3 || j == 3 ||
                        times[i] == 0);
        }
        assert_ok(shunt_queue_free(queue));
        harness_free(pool);
    }
}

/* future_times_out: with no time, and with a little */
static void what_is_over_is_yielded_before_the_time_runs_out(void)
{
    static const int64_t waits[] = { 0, SHUNT_MS(1) };
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < 2; i++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *fs[4] = { stage_given(pool, 1), made.future,
                                stage_failed(pool, 2), stage_cancelled(pool) };
        shunt_queue *queue = NULL;
        shunt_event events[4];

        assert_ok(shunt_queue_new(&queue));
        assert_ok(shunt_queue_add_all(queue, fs, 4));
        assert_long(shunt_queue_wait(queue, events, 4, waits[i]), 3);
        for (int j = 0; j < 3; j++) {
            assert_true(shunt_event_index(&events[j]) != 1);
            assert_ok(shunt_release(events[j].future));
        }
        assert_long(shunt_queue_wait(queue, events, 4, waits[i]), 0);
        assert_true(shunt_queue_remove(queue, made.future));
        stage_give(made.promise, 1);
        assert_takes(made.future, 1);
        assert_ok(shunt_queue_free(queue));
    }
    harness_free(pool);
}

/* duplicate_futures. Diverge: CPython yields one that is named twice once; here
 * the second name is a second handle, with a tag of its own. */
static void a_future_is_yielded_once_for_each_time_that_it_was_added(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = NULL;
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[2] = { made.future, made.future };
    shunt_event events[3];

    assert_ok(shunt_queue_new(&queue));
    assert_status(shunt_queue_add_all(queue, fs, 2), SHUNT_EINVAL);
    fs[1] = shunt_retain(made.future);
    assert_ok(shunt_queue_add_all(queue, fs, 2));
    stage_give(made.promise, 1);
    assert_long(shunt_queue_wait(queue, events, 3, SHUNT_FOREVER), 2);
    assert_long(
        (long)(shunt_event_index(&events[0]) + shunt_event_index(&events[1])),
        1);
    for (int i = 0; i < 2; i++)
        assert_takes(events[i].future, 1);
    assert_ok(shunt_queue_free(queue));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_race_ends_with_the_first_future_that_is_over),
    CLAIM(a_cancelled_future_ends_a_race_at_once),
    CLAIM(a_race_with_a_settled_future_does_not_block),
    CLAIM(when_all_ends_with_the_first_failure),
    CLAIM(a_settled_success_does_not_end_when_all),
    CLAIM(when_all_of_a_failed_future_fails_at_once),
    CLAIM(when_all_settled_ends_when_every_future_is_over),
    CLAIM(a_timeout_leaves_a_partial_set),
    CLAIM(a_wait_that_runs_out_leaves_a_partial_set),
    CLAIM(a_queue_gives_the_first_that_is_over_and_keeps_the_rest),
    CLAIM(each_future_is_yielded_once_when_it_is_over),
    CLAIM(what_is_over_is_yielded_before_the_rest_times_out),
    CLAIM(what_is_over_is_yielded_before_the_time_runs_out),
    CLAIM(a_future_is_yielded_once_for_each_time_that_it_was_added),
};

HARNESS_MAIN(claims)
