/* SPDX-License-Identifier: MIT */
/*
 * completion_race_test.c - a future settles while it is added, taken, removed
 * or given up with its queue: each of them happens once, or not at all.
 *
 * Method. A partner does the other thing: partner.h.
 */
#include <sched.h>

#include "completion.h"
#include "partner.h"

static void give_one(void *what)
{
    (void)shunt_promise_give(what, &(long){ 1 });
}

/* ---- settling ---- */

static void a_future_that_settles_while_it_is_added_is_delivered_once(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct partner partner;

    partner_open(&partner, give_one);
    for (long i = partner_rounds(20000); i > 0; i--) {
        struct stage_promise made = stage_promise(pool);

        partner_begin(&partner, made.promise);
        add(queue, made.future, i);
        partner_await(&partner);
        assert_event(queue, made.future, i);
        assert_nothing_ready(queue);
        assert_takes(made.future, 1);
    }
    partner_close(&partner);
    free_queue(queue);
    harness_free(pool);
}

enum {
    MANY = 150
};

struct many {
    struct stage_promise made[MANY];
};

static void give_many(void *what)
{
    struct many *many = what;

    for (int i = 0; i < MANY; i++)
        give_one(many->made[i].promise);
}

static void futures_that_settle_while_many_are_added_are_delivered_once(void)
{
    static struct many many;
    static shunt_event events[MANY];
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct partner partner;

    partner_open(&partner, give_many);
    for (long i = partner_rounds(1000); i > 0; i--) {
        shunt_future *fs[MANY];
        bool seen[MANY] = { false };

        for (int j = 0; j < MANY; j++) {
            many.made[j] = stage_promise(pool);
            fs[j] = many.made[j].future;
        }
        partner_begin(&partner, &many);
        assert_ok(shunt_queue_add_all(queue, fs, MANY));
        partner_await(&partner);
        assert_long(shunt_queue_take(queue, events, MANY), MANY);
        for (int j = 0; j < MANY; j++) {
            size_t which = shunt_event_index(&events[j]);

            assert_true(which < MANY && !seen[which]);
            seen[which] = true;
            assert_takes(events[j].future, 1);
        }
        assert_nothing_ready(queue);
    }
    partner_close(&partner);
    free_queue(queue);
    harness_free(pool);
}

static void removing_beside_settling_kills_the_tag_or_comes_too_late(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct partner partner;

    partner_open(&partner, give_one);
    for (long i = partner_rounds(20000); i > 0; i--) {
        struct stage_promise made = stage_promise(pool);

        add(queue, made.future, i);
        partner_begin(&partner, made.promise);
        if (i % 2 == 0)
            assert_true(shunt_queue_remove(queue, made.future));
        partner_await(&partner);
        if (i % 2 != 0)
            assert_true(shunt_queue_remove(queue, made.future));
        assert_nothing_ready(queue);
        assert_long(shunt_queue_size(queue), 0);
        assert_takes(made.future, 1);
    }
    partner_close(&partner);
    free_queue(queue);
    harness_free(pool);
}

static void a_queue_freed_beside_settling_releases_all_the_same(void)
{
    shunt_pool *pool = harness_pool(1);
    struct partner partner;

    partner_open(&partner, give_one);
    for (long i = partner_rounds(10000); i > 0; i--) {
        shunt_queue *queue = new_queue();
        struct stage_promise made = stage_promise(pool);
        shunt_future *kept = i % 2 == 0 ? shunt_retain(made.future) : NULL;

        add(queue, made.future, i);
        partner_begin(&partner, made.promise);
        free_queue(queue);
        assert_stale(made.future);
        partner_await(&partner);
        if (kept != NULL)
            assert_takes(kept, 1);
    }
    partner_close(&partner);
    harness_free(pool);
}

/* ---- takers ---- */

struct removal {
    shunt_queue *queue;
    shunt_future *future;
    bool removed;
};

static void remove_one(void *what)
{
    struct removal *r = what;

    r->removed = shunt_queue_remove(r->queue, r->future);
}

static void take_one(void *what)
{
    struct removal *r = what;
    shunt_event event;

    r->removed = shunt_queue_take(r->queue, &event, 1) == 1;
}

/* One of us gets it, and not both. */
static void take_beside(void (*act)(void *what))
{
    shunt_pool *pool = harness_pool(1);
    struct removal r = { .queue = new_queue() };
    struct partner partner;

    partner_open(&partner, act);
    for (long i = partner_rounds(20000); i > 0; i--) {
        shunt_event event;
        int taken;

        r.future = stage_given(pool, i);
        add(r.queue, r.future, i);
        partner_begin(&partner, &r);
        taken = shunt_queue_take(r.queue, &event, 1);
        partner_await(&partner);
        assert_long(taken + r.removed, 1);
        assert_takes(r.future, i);
    }
    partner_close(&partner);
    free_queue(r.queue);
    harness_free(pool);
}

static void a_future_is_either_taken_or_removed(void)
{
    take_beside(remove_one);
}

static void two_takers_do_not_get_the_same_event(void)
{
    take_beside(take_one);
}

/* Method: the wait begins as the future settles. A wake-up that is lost is a
 * wait that does not end. */
static void nobody_waits_beside_what_has_just_become_ready(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct partner partner;

    partner_open(&partner, give_one);
    for (long i = partner_rounds(20000); i > 0; i--) {
        struct stage_promise made = stage_promise(pool);
        shunt_event event;

        add(queue, made.future, i);
        harness_note("%ld rounds to go", i);
        partner_begin(&partner, made.promise);
        assert_long(shunt_queue_wait(queue, &event, 1, SHUNT_FOREVER), 1);
        assert_takes(event.future, 1);
        partner_await(&partner);
    }
    partner_close(&partner);
    free_queue(queue);
    harness_free(pool);
}

static void free_it(void *what)
{
    (void)shunt_queue_free(what);
}

static int wait_for_one(shunt_queue *const *in, shunt_none *out)
{
    shunt_event event;

    (void)out;
    return shunt_queue_wait(*in, &event, 1, SHUNT_FOREVER);
}
SHUNT_TASK(wait_for_one, shunt_queue *, shunt_none)

/* Goal: whoever begins to wait sees the end, or finds no queue. */
static void nobody_waits_in_a_queue_that_has_just_been_freed(void)
{
    shunt_pool *pool = harness_pool(1);
    struct partner partner;

    partner_open(&partner, free_it);
    for (long i = partner_rounds(10000); i > 0; i--) {
        shunt_queue *queue = new_queue();
        shunt_event event;
        int rc;

        harness_note("%ld rounds to go", i);
        partner_begin(&partner, queue);
        if (i % 2 == 0) {
            rc = shunt_queue_wait(queue, &event, 1, SHUNT_FOREVER);
        } else {
            shunt_future *f = shunt_submit(pool, wait_for_one, &queue);

            assert_settles(f, SHUNT_EFAILED);
            rc = shunt_error_of(f)->task_code;
            assert_ok(shunt_release(f));
        }
        assert_true(rc == SHUNT_ECLOSED || rc == SHUNT_EINVAL);
        partner_await(&partner);
    }
    partner_close(&partner);
    harness_free(pool);
}

/* Goal: every future is released with the queue, or still its owner's. Method:
 * the pool has room for some rounds. */
static void a_queue_freed_beside_adding_loses_no_future(void)
{
    shunt_pool *pool = NULL;
    struct partner partner;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = 1 << 20 }));
    partner_open(&partner, free_it);
    for (long i = partner_rounds(2000); i > 0; i--) {
        shunt_queue *queue = new_queue();
        shunt_future *fs[MANY];
        int rc;

        for (long j = 0; j < MANY; j++)
            fs[j] = j % 2 == 0 ? stage_given(pool, j)
                               : shunt_submit_wait(pool, stage_same, &j);
        partner_begin(&partner, queue);
        rc = i % 2 == 0 ? shunt_queue_add_all(queue, fs, MANY)
                        : shunt_queue_add(queue, fs[0], NULL);
        assert_true(rc == 0 || rc == SHUNT_EINVAL);
        partner_await(&partner);
        for (int j = 0; j < MANY; j++) {
            rc = shunt_release(fs[j]);
            assert_true(rc == 0 || rc == SHUNT_EINVAL);
        }
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    }
    partner_close(&partner);
    harness_free(pool);
}

static __attribute__((noinline)) void use_stack(void)
{
    volatile unsigned char bytes[2048];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 0xa5;
}

/* Goal: nothing of an add that finds no queue any more is left in it. Method:
 * closing its descriptor gives the free some time, and whoever adds uses its
 * stack again at once. */
static void an_add_that_fails_beside_a_free_leaves_nothing_there(void)
{
    struct partner partner;

    partner_open(&partner, free_it);
    for (long i = partner_rounds(10000); i > 0; i--) {
        shunt_queue *queue = new_queue();

        assert_true(shunt_queue_fd(queue) >= 0);
        partner_begin(&partner, queue);
        /* Who frees it must have the lock once in a while. */
        for (long n = 1; shunt_queue_add_all(queue, NULL, 0) == 0; n++)
            if (n % 1024 == 0)
                sched_yield();
        use_stack();
        partner_await(&partner);
    }
    partner_close(&partner);
}

static void cancel_it(void *what)
{
    (void)shunt_cancel(what);
}

/* Method: a task that waits is called and cancelled at the same moment; if it
 * goes without the event, the thread that waits as well must get it. */
static void an_event_is_not_lost_with_a_waiter_that_is_cancelled(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct partner partner;

    partner_open(&partner, cancel_it);
    for (long i = partner_rounds(5000); i > 0; i--) {
        shunt_future *f = shunt_submit(pool, wait_for_one, &queue);
        struct stage_promise made = stage_promise(pool);
        shunt_event event;
        int n;

        add(queue, made.future, i);
        harness_note("%ld rounds to go", i);
        if (i % 2 == 0) /* it has parked by then */
            assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        partner_begin(&partner, f);
        give_one(made.promise);
        partner_await(&partner);
        (void)harness_await(f);
        n = shunt_queue_take(queue, &event, 1);
        /* It was the task's, whose end released it; or it is there. */
        if (shunt_error_of(f)->task_code == 1)
            assert_long(n, 0);
        else
            assert_long(n, 1);
        assert_ok(shunt_release(f));
        if (n == 1)
            assert_takes(event.future, 1);
        else
            assert_stale(made.future);
    }
    partner_close(&partner);
    free_queue(queue);
    harness_free(pool);
}

/* ---- pools ---- */

static void free_pool(void *what)
{
    (void)shunt_pool_free(what);
}

/* Method: the pool goes while its futures are taken, removed and released with
 * the queue; handles of it may be stale at any moment. */
static void a_pool_may_be_freed_under_a_queue(void)
{
    enum {
        N = 40
    };
    struct partner partner;

    partner_open(&partner, free_pool);
    for (long round = harness_pools(300); round > 0; round--) {
        shunt_pool *pool = harness_pool(1);
        shunt_queue *queue = new_queue();
        shunt_future *fs[N];
        long seen = 0;

        for (long i = 0; i < N; i++) {
            fs[i] = i % 4 == 0 ? stage_promise(pool).future
                               : shunt_submit(pool, stage_same, &i);
            add(queue, fs[i], i);
        }
        partner_begin(&partner, pool);
        for (long i = 0; i < N && round % 3 == 0; i++)
            seen += shunt_queue_remove(queue, fs[i]);
        while (round % 3 == 1 && shunt_queue_size(queue) > 0) {
            shunt_event events[8];
            int n = shunt_queue_wait(queue, events, 8, harness_patience());

            assert_true(n > 0);
            seen += n;
        }
        if (round % 3 != 2)
            assert_long(seen, N);
        free_queue(queue);
        partner_await(&partner);
    }
    partner_close(&partner);
}

enum {
    ADDED = 8
};

static int wait_for_nothing(const shunt_none *in, long *out)
{
    shunt_promise *promise;
    shunt_future *f;

    (void)in;
    *out = shunt_promise_new(NULL, long, &promise, &f);
    return *out != 0 ? 1 : shunt_await(f);
}
SHUNT_TASK(wait_for_nothing, shunt_none, long)

static int take_all_of_these(const shunt_none *in, long *out)
{
    static const shunt_none none;
    shunt_event events[ADDED];
    shunt_queue *queue;
    int rc = shunt_queue_new(&queue);

    (void)in;
    *out = 0;
    for (int i = 0; i < ADDED && rc == 0; i++)
        rc = shunt_queue_add(queue, shunt_submit(NULL, wait_for_nothing, &none),
                             NULL);
    for (int taken = 0, n = 0; rc == 0 && n >= 0 && taken < ADDED; taken += n) {
        n = shunt_queue_wait(queue, events, ADDED, SHUNT_FOREVER);
        for (int i = 0; i < n; i++)
            (void)shunt_release(events[i].future);
    }
    return rc != 0 ? rc : shunt_queue_free(queue);
}
SHUNT_TASK(take_all_of_these, shunt_none, long)

/* Goal: what is parked at its deadline goes to the queue of another process,
 * and goes on in its own, at the same time. */
static void a_deadline_passes_beside_a_queue(void)
{
    static const shunt_none none;
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2,
                                 .unobserved = shunt_unobserved_ignore }));
    for (long i = 0; i < harness_pools(200); i++) {
        int rc = shunt_join(shunt_submit_with(pool, take_all_of_these, &none,
                                              .deadline_ns = SHUNT_MS(5)));

        /* Theirs has come, and its own may not have. */
        assert_true(rc == SHUNT_ETIMEDOUT || rc == 0);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_deadline_passes_beside_a_queue),
    CLAIM(a_future_that_settles_while_it_is_added_is_delivered_once),
    CLAIM(futures_that_settle_while_many_are_added_are_delivered_once),
    CLAIM(removing_beside_settling_kills_the_tag_or_comes_too_late),
    CLAIM(a_queue_freed_beside_settling_releases_all_the_same),
    CLAIM(a_future_is_either_taken_or_removed),
    CLAIM(two_takers_do_not_get_the_same_event),
    CLAIM(nobody_waits_beside_what_has_just_become_ready),
    CLAIM(nobody_waits_in_a_queue_that_has_just_been_freed),
    CLAIM(a_queue_freed_beside_adding_loses_no_future),
    CLAIM(an_add_that_fails_beside_a_free_leaves_nothing_there),
    CLAIM(an_event_is_not_lost_with_a_waiter_that_is_cancelled),
    CLAIM(a_pool_may_be_freed_under_a_queue),
};

HARNESS_MAIN(claims)
