/* SPDX-License-Identifier: MIT */
/*
 * completion_test.c - a completion queue gives every future back once, with
 * its tag, in the order in which they settled; and whoever holds a future is
 * known at every moment.
 *
 * Many at once and the end are in completion_all_test.c, what is refused in
 * completion_misuse_test.c, waiting in completion_wait_test.c and, of tasks,
 * completion_task_test.c; the descriptor in completion_fd_test.c, and what
 * happens at the same moment in completion_race_test.c.
 */
#include <limits.h>

#include "completion.h"

/* ---- in and out ---- */

static void a_future_comes_out_when_it_has_settled_with_its_tag(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct stage_promise made = stage_promise(pool);

    add(queue, made.future, 5);
    assert_long(shunt_queue_size(queue), 1);
    assert_nothing_ready(queue);
    stage_give(made.promise, 8);
    assert_long(shunt_queue_size(queue), 1);
    assert_event(queue, made.future, 5);
    assert_long(shunt_queue_size(queue), 0);
    assert_nothing_ready(queue);
    assert_takes(made.future, 8);
    free_queue(queue);
    harness_free(pool);
}

static void a_settled_future_is_ready_at_once(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    shunt_future *fs[3] = { stage_given(pool, 1), stage_failed(pool, 2),
                            stage_cancelled(pool) };

    for (int i = 0; i < 3; i++)
        add(queue, fs[i], i);
    for (int i = 0; i < 3; i++)
        assert_event(queue, fs[i], i);
    assert_takes(fs[0], 1);
    assert_fails_with(fs[1], 2);
    assert_ok(shunt_release(fs[1]));
    assert_joins(fs[2], SHUNT_ECANCELED);
    free_queue(queue);
    harness_free(pool);
}

/* Goal: what a submit returns can be added unseen. */
static void a_refused_submit_is_ready_at_once_as_often_as_it_is_added(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    shunt_future *none, *closed, *empty;

    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    none = shunt_submit(NULL, stage_same, &(long){ 1 });
    closed = shunt_submit(pool, stage_same, &(long){ 1 });
    empty = shunt_when_all(NULL, 0);
    for (int i = 0; i < 3; i++) {
        add(queue, none, 10 + i);
        add(queue, closed, 20 + i);
        add(queue, empty, 30 + i);
    }
    assert_long(shunt_queue_size(queue), 9);
    assert_true(shunt_queue_remove(queue, closed));
    for (int i = 0; i < 8; i++) {
        shunt_event event;

        assert_long(shunt_queue_take(queue, &event, 1), 1);
        if ((uintptr_t)event.tag < 20)
            assert_joins(event.future, SHUNT_EINVAL);
        else
            assert_joins(event.future,
                         (uintptr_t)event.tag < 30 ? SHUNT_ECLOSED : 0);
    }
    assert_nothing_ready(queue);
    free_queue(queue);
    harness_free(pool);
}

static void events_come_in_the_order_in_which_futures_settled(void)
{
    enum {
        N = 500
    };
    static struct stage_promise made[N];
    static size_t order[N];
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();

    for (int round = 0; round < 5; round++) {
        for (long i = 0; i < N; i++) {
            made[i] = stage_promise(pool);
            add(queue, made[i].future, i);
        }
        stage_shuffle(order, N);
        for (long i = 0; i < N; i++)
            stage_give(made[order[i]].promise, i);
        for (long i = 0; i < N; i++) {
            assert_event(queue, made[order[i]].future, (long)order[i]);
            assert_takes(made[order[i]].future, i);
        }
    }
    free_queue(queue);
    harness_free(pool);
}

static void a_batch_is_as_long_as_what_is_ready_and_as_asked_for(void)
{
    enum {
        N = 300
    };
    static shunt_event events[N + 1];
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();

    for (long i = 0; i < N; i++)
        add(queue, stage_given(pool, i), i);
    assert_long(shunt_queue_take(queue, events, 64), 64);
    assert_long(shunt_queue_take(queue, events + 64, 100), 100);
    assert_long(shunt_queue_take(queue, events + 164, SIZE_MAX), N - 164);
    for (long i = 0; i < N; i++) {
        assert_ptr_equal(events[i].tag, tag(i));
        assert_takes(events[i].future, i);
    }
    assert_null(events[N].future);
    assert_long(shunt_queue_take(queue, events, (size_t)INT_MAX + 1), 0);
    free_queue(queue);
    harness_free(pool);
}

static void futures_of_several_pools_meet_in_one_queue(void)
{
    enum {
        POOLS = 3,
        EACH = 200
    };
    shunt_pool *pools[POOLS];
    shunt_queue *queue = new_queue();
    long seen[POOLS] = { 0 };

    for (int p = 0; p < POOLS; p++)
        pools[p] = harness_pool(1);
    for (long i = 0; i < EACH; i++)
        for (int p = 0; p < POOLS; p++)
            add(queue, shunt_submit(pools[p], stage_same, &i), p * EACH + i);
    while (shunt_queue_size(queue) > 0) {
        shunt_event events[16];
        int n = shunt_queue_wait(queue, events, 16, harness_patience());

        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            long which = (long)(uintptr_t)events[i].tag;

            assert_takes(events[i].future, which % EACH);
            seen[which / EACH]++;
        }
    }
    for (int p = 0; p < POOLS; p++) {
        assert_long(seen[p], EACH);
        harness_free(pools[p]);
    }
    free_queue(queue);
}

/* Goal: whatever makes a future, it can be added. */
static void steps_and_combinators_come_out_as_well(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_queue *queue = new_queue();
    shunt_future *fs[2] = { shunt_submit(pool, stage_same, &(long){ 1 }),
                            shunt_submit(pool, stage_same, &(long){ 2 }) };
    long ins[3] = { 1, 2, 3 };
    long sum = 0;

    add(queue, shunt_then(shunt_when_all(fs, 2), stage_sum), 0);
    add(queue, shunt_then(shunt_map(pool, stage_same, ins, 3), stage_sum), 1);
    add(queue,
        shunt_recover(shunt_submit(pool, stage_fail, &(int){ 9 }),
                      stage_task_code),
        2);
    for (int i = 0; i < 3; i++) {
        shunt_event event;
        long value = 0;

        assert_long(shunt_queue_wait(queue, &event, 1, harness_patience()), 1);
        assert_ok(shunt_take(event.future, &value));
        sum += value;
    }
    assert_long(sum, 3 + 6 + 9);
    free_queue(queue);
    harness_free(pool);
}

/* ---- who holds a future ---- */

static void a_future_in_a_queue_is_nobodys_else(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue(), *other = new_queue();
    struct stage_promise made = stage_promise(pool);

    add(queue, made.future, 1);
    assert_stale(made.future);
    assert_status(shunt_cancel(made.future), SHUNT_EINVAL);
    assert_null(shunt_retain(made.future));
    assert_status(shunt_queue_add(queue, made.future, tag(2)), SHUNT_EINVAL);
    assert_status(shunt_queue_add(other, made.future, tag(2)), SHUNT_EINVAL);
    stage_give(made.promise, 4);
    assert_stale(made.future);
    assert_event(queue, made.future, 1);
    assert_ok(shunt_status(made.future));
    assert_takes(made.future, 4);
    assert_stale(made.future);
    free_queue(queue);
    free_queue(other);
    harness_free(pool);
}

static void one_future_may_be_in_queues_by_several_handles(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queues[2] = { new_queue(), new_queue() };
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[4] = { made.future };

    for (int i = 1; i < 4; i++) {
        fs[i] = shunt_retain(made.future);
        assert_non_null(fs[i]);
    }
    for (int i = 0; i < 4; i++)
        add(queues[i % 2], fs[i], i);
    stage_give(made.promise, 6);
    for (int q = 0; q < 2; q++) {
        bool seen[4] = { false };

        for (int i = 0; i < 2; i++) {
            shunt_event event;

            assert_long(shunt_queue_take(queues[q], &event, 1), 1);
            size_t which = shunt_event_index(&event);
            assert_true(which < 4 && which % 2 == (size_t)q && !seen[which]);
            seen[which] = true;
            assert_ptr_equal(event.future, fs[which]);
            assert_ok(shunt_release(event.future));
        }
        assert_nothing_ready(queues[q]);
        free_queue(queues[q]);
    }
    harness_free(pool);
}

/* Goal: there is nothing that a queue leaves on a future. */
static void a_future_that_came_out_is_as_good_as_any(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();

    for (long i = 0; i < 200; i++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *f = made.future, *second;

        for (int turn = 0; turn < 3; turn++) {
            add(queue, f, i);
            if (turn == 1)
                stage_give(made.promise, i);
            if (turn == 0)
                assert_true(shunt_queue_remove(queue, f));
            else
                assert_event(queue, f, i);
        }
        second = shunt_retain(f);
        f = shunt_then(f, stage_add_one);
        assert_takes(f, i + 1);
        assert_takes(second, i);
    }
    free_queue(queue);
    harness_free(pool);
}

static void a_future_can_be_removed_pending_or_ready(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct stage_promise made[3];

    for (int i = 0; i < 3; i++) {
        made[i] = stage_promise(pool);
        add(queue, made[i].future, i);
    }
    assert_true(shunt_queue_remove(queue, made[0].future));
    assert_false(shunt_queue_remove(queue, made[0].future));
    assert_status(shunt_status(made[0].future), SHUNT_PENDING);
    assert_long(shunt_cancel(made[0].future), 1);
    assert_joins(made[0].future, SHUNT_ECANCELED);
    stage_give(made[1].promise, 1);
    stage_give(made[2].promise, 2);
    assert_true(shunt_queue_remove(queue, made[1].future));
    assert_takes(made[1].future, 1);
    assert_event(queue, made[2].future, 2);
    assert_false(shunt_queue_remove(queue, made[2].future));
    assert_takes(made[2].future, 2);
    assert_long(shunt_queue_size(queue), 0);
    assert_status(shunt_promise_give(made[0].promise, &(long){ 0 }),
                  SHUNT_ECANCELED);
    free_queue(queue);
    harness_free(pool);
}

/* Method: many, so that the index grows and shrinks; every third is removed
 * before it settles, every third after. */
static void what_is_removed_is_never_delivered(void)
{
    enum {
        N = 3000
    };
    static struct stage_promise made[N];
    static size_t order[N];
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    shunt_event event;
    long left = 0;

    for (long i = 0; i < N; i++) {
        made[i] = stage_promise(pool);
        add(queue, made[i].future, i);
    }
    stage_shuffle(order, N);
    for (long i = 0; i < N; i++)
        if (order[i] % 3 == 0)
            assert_true(shunt_queue_remove(queue, made[order[i]].future));
    for (long i = 0; i < N; i++)
        stage_give(made[i].promise, i);
    stage_shuffle(order, N);
    for (long i = 0; i < N; i++)
        if (order[i] % 3 == 1)
            assert_true(shunt_queue_remove(queue, made[order[i]].future));
    assert_long(shunt_queue_size(queue), N / 3);
    while (shunt_queue_take(queue, &event, 1) == 1) {
        assert_long((long)(shunt_event_index(&event) % 3), 2);
        left++;
    }
    assert_long(left, N / 3);
    for (long i = 0; i < N; i++)
        assert_takes(made[i].future, i);
    free_queue(queue);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_future_comes_out_when_it_has_settled_with_its_tag),
    CLAIM(a_settled_future_is_ready_at_once),
    CLAIM(a_refused_submit_is_ready_at_once_as_often_as_it_is_added),
    CLAIM(events_come_in_the_order_in_which_futures_settled),
    CLAIM(a_batch_is_as_long_as_what_is_ready_and_as_asked_for),
    CLAIM(futures_of_several_pools_meet_in_one_queue),
    CLAIM(steps_and_combinators_come_out_as_well),
    CLAIM(a_future_in_a_queue_is_nobodys_else),
    CLAIM(one_future_may_be_in_queues_by_several_handles),
    CLAIM(a_future_that_came_out_is_as_good_as_any),
    CLAIM(a_future_can_be_removed_pending_or_ready),
    CLAIM(what_is_removed_is_never_delivered),
};

HARNESS_MAIN(claims)
