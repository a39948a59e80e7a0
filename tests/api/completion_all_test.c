/* SPDX-License-Identifier: MIT */
/*
 * completion_all_test.c - many futures are added all or not at all; and a
 * queue ends, before its pools or after, and keeps nothing.
 */
#include <string.h>

#include "completion.h"

/* ---- many at once ---- */

static void all_are_added_with_their_index(void)
{
    enum {
        N = 1000
    };
    static shunt_future *fs[N];
    static bool seen[N];
    shunt_pool *pool = harness_pool(2);
    shunt_queue *queue = new_queue();
    shunt_event events[50];

    memset(seen, 0, sizeof seen);
    for (long i = 0; i < N; i++)
        fs[i] = shunt_submit(pool, stage_same, &i);
    assert_ok(shunt_queue_add_all(queue, fs, N));
    while (shunt_queue_size(queue) > 0) {
        int n = shunt_queue_wait(queue, events, 50, harness_patience());

        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            size_t which = shunt_event_index(&events[i]);

            assert_true(which < N && !seen[which]);
            seen[which] = true;
            assert_ptr_equal(events[i].future, fs[which]);
            assert_takes(events[i].future, (long)which);
        }
    }
    free_queue(queue);
    harness_free(pool);
}

/* Method: in every place in turn something that cannot be added; and so often
 * that the pool would have no room, did something stay. */
static void all_are_added_or_none(void)
{
    enum {
        N = 150,
        TURNS = 2000
    };
    shunt_pool *pool = NULL;
    shunt_queue *queue = new_queue();
    struct stage_promise made[N];
    shunt_future *fs[N];

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = 1 << 20 }));
    for (long i = 0; i < N; i++)
        made[i] = stage_promise(pool);
    for (int i = 0; i < N; i += 2)
        stage_give(made[i].promise, i);
    for (int turn = 0; turn < TURNS; turn++) {
        int bad = turn % N;

        for (int i = 0; i < N; i++)
            fs[i] = made[i].future;
        /* None at all, or one that is there already. */
        fs[bad] = bad % 2 == 0 ? stage_garbage((unsigned)bad % STAGE_GARBAGE)
                               : fs[(bad + 2) % N];
        assert_status(shunt_queue_add_all(queue, fs, N), SHUNT_EINVAL);
        assert_long(shunt_queue_size(queue), 0);
        assert_nothing_ready(queue);
        for (int i = 0; i < N; i++)
            assert_status(shunt_status(made[i].future),
                          i % 2 == 0 ? 0 : SHUNT_PENDING);
    }
    for (int i = 0; i < N; i++)
        fs[i] = made[i].future;
    assert_ok(shunt_queue_add_all(queue, fs, N));
    for (int i = 1; i < N; i += 2)
        stage_give(made[i].promise, i);
    assert_long(shunt_queue_size(queue), N);
    free_queue(queue);
    harness_free(pool);
}

static void none_at_all_can_be_added(void)
{
    shunt_queue *queue = new_queue();

    assert_ok(shunt_queue_add_all(queue, NULL, 0));
    assert_ok(shunt_queue_add_all(queue, (shunt_future *[]){ NULL }, 0));
    assert_status(shunt_queue_add_all(queue, NULL, 1), SHUNT_EINVAL);
    assert_status(
        shunt_queue_add_all(queue, (shunt_future *[]){ NULL }, SIZE_MAX),
        SHUNT_EINVAL);
    free_queue(queue);
}

/* ---- the end ---- */

static void a_queue_that_is_freed_releases_what_is_in_it(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 20; round++) {
        shunt_queue *queue = new_queue();
        struct stage_promise pending = stage_promise(pool);
        struct stage_promise later = stage_promise(pool);
        shunt_future *ready = stage_given(pool, 2);
        shunt_future *kept = shunt_retain(pending.future);

        add(queue, pending.future, 0);
        add(queue, ready, 1);
        add(queue, later.future, 2);
        add(queue, shunt_submit(NULL, stage_same, &(long){ 1 }), 3);
        stage_give(later.promise, 1);
        free_queue(queue);
        assert_stale(pending.future);
        assert_stale(ready);
        assert_stale(later.future);
        /* Releasing did not cancel. */
        assert_status(shunt_status(kept), SHUNT_PENDING);
        stage_give(pending.promise, 3);
        assert_takes(kept, 3);
    }
    harness_free(pool);
}

/* Goal: whatever a queue held is back in the pool. Method: the pool has room
 * for some rounds, and there are hundreds. */
static void a_queue_keeps_nothing_of_a_pool(void)
{
    enum {
        N = 1000
    };
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = 8 << 20 }));
    for (int round = 0; round < 300 / (int)harness_slowness() + 2; round++) {
        shunt_queue *queue = new_queue();
        struct stage_promise made[2];

        for (long i = 0; i < N; i++) {
            shunt_future *f = shunt_submit(pool, stage_same, &i);

            add(queue, f, i);
            if (i % 4 == 0 && shunt_queue_remove(queue, f))
                assert_ok(shunt_release(f));
        }
        for (int i = 0; i < 2; i++) {
            made[i] = stage_promise(pool);
            add(queue, made[i].future, i);
        }
        if (round % 2 == 0)
            stage_give(made[0].promise, 1);
        free_queue(queue);
        for (int i = round % 2 == 0; i < 2; i++)
            stage_give(made[i].promise, 1);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    }
    harness_free(pool);
}

static void a_queue_outlives_its_pools(void)
{
    shunt_queue *queue = new_queue();
    shunt_pool *pool = harness_pool(2);
    shunt_future *fs[50];
    shunt_event event;
    long seen = 0;

    for (long i = 0; i < 50; i++) {
        fs[i] = i % 2 == 0 ? shunt_submit(pool, stage_same, &i)
                           : stage_promise(pool).future;
        add(queue, fs[i], i);
    }
    harness_free(pool); /* fails the promises that nobody keeps */
    assert_long(shunt_queue_size(queue), 50);
    assert_true(shunt_queue_remove(queue, fs[7]));
    assert_stale(fs[7]);
    pool = harness_pool(1);
    add(queue, stage_given(pool, 1), 99);
    while (shunt_queue_take(queue, &event, 1) == 1) {
        if (event.tag == tag(99))
            assert_takes(event.future, 1);
        else
            assert_stale(event.future);
        seen++;
    }
    assert_long(seen, 50);
    add(queue, stage_given(pool, 1), 0);
    harness_free(pool);
    free_queue(queue);
}

static const struct CMUnitTest claims[] = {
    CLAIM(all_are_added_with_their_index),
    CLAIM(all_are_added_or_none),
    CLAIM(none_at_all_can_be_added),
    CLAIM(a_queue_that_is_freed_releases_what_is_in_it),
    CLAIM(a_queue_keeps_nothing_of_a_pool),
    CLAIM(a_queue_outlives_its_pools),
};

HARNESS_MAIN(claims)
