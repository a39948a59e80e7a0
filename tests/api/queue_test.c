/* SPDX-License-Identifier: MIT */
/*
 * queue_test.c - queue_max is exact for those outside, and does not exist for
 * a pool's own tasks; shunt_submit_wait sleeps for room.
 *
 * Method. The only worker is held, so that what is queued stays queued.
 */
#include <pthread.h>

#include "stage.h"

static shunt_pool *bounded_pool(size_t queue_max)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .queue_max = queue_max }));
    return pool;
}

static void the_limit_is_exact(void)
{
    static const size_t limits[] = { 1, 2, 4, 28, 1000, 4097 };
    static shunt_future *queued[4097];

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        shunt_pool *pool = bounded_pool(limits[i]);
        for (int round = 0; round < 3; round++) {
            struct stage_hold hold = stage_hold(pool);
            struct tally *ran = stage_tally();
            struct job job = { .ran = ran };
            for (size_t j = 0; j < limits[i]; j++) {
                queued[j] = shunt_submit(pool, stage_job, &job);
                assert_status(shunt_status(queued[j]), SHUNT_PENDING);
            }
            for (int j = 0; j < 3; j++)
                assert_joins(shunt_submit(pool, stage_job, &job), SHUNT_EAGAIN);
            stage_let(hold);
            for (size_t j = 0; j < limits[i]; j++)
                assert_joins(queued[j], 0);
            assert_long(tally_of(ran), (long)limits[i]);
        }
        harness_free(pool);
    }
}

static void the_default_limit_is_high(void)
{
    enum {
        MANY = 100000
    };
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct tally *ran = stage_tally();

    harness_footprint((size_t)64 << 20);
    for (long i = 0; i < MANY; i++) {
        shunt_future *f =
            shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
        assert_status(shunt_status(f), SHUNT_PENDING);
        assert_ok(shunt_release(f));
    }
    stage_let(hold);
    harness_free(pool);
    assert_long(tally_of(ran), MANY);
}

/* A task that was cancelled is not queued any more. */
static void a_cancelled_task_makes_room(void)
{
    shunt_pool *pool = bounded_pool(4);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued[4];

    for (int i = 0; i < 4; i++)
        queued[i] = shunt_submit(pool, stage_nothing, NULL);
    assert_joins(shunt_submit(pool, stage_nothing, NULL), SHUNT_EAGAIN);
    assert_long(shunt_cancel(queued[2]), 1);
    assert_joins(queued[2], SHUNT_ECANCELED);
    queued[2] = shunt_submit(pool, stage_nothing, NULL);
    assert_status(shunt_status(queued[2]), SHUNT_PENDING);
    assert_joins(shunt_submit(pool, stage_nothing, NULL), SHUNT_EAGAIN);
    stage_let(hold);
    for (int i = 0; i < 4; i++)
        assert_joins(queued[i], 0);
    harness_free(pool);
}

/* ---- who is exempt ---- */

struct inner {
    struct tally *ran;
};

static int submit_many(const struct inner *in, long *out)
{
    shunt_future *fs[100];
    int rc = 0;

    for (long i = 0; i < 100; i++)
        fs[i] = i % 2 == 0 ? shunt_submit(NULL, stage_job,
                                          &(struct job){ .ran = in->ran })
                           : shunt_submit_wait(NULL, stage_job,
                                               &(struct job){ .ran = in->ran });
    for (int i = 0; i < 100; i++)
        rc |= shunt_join(fs[i]);
    *out = 100;
    return rc;
}
SHUNT_TASK(submit_many, struct inner, long)

static void the_pools_own_tasks_are_exempt(void)
{
    shunt_pool *pool = bounded_pool(1);
    struct inner inner = { stage_tally() };

    assert_takes(shunt_submit(pool, submit_many, &inner), 100);
    assert_long(tally_of(inner.ran), 100);
    harness_free(pool);
}

/* Method: the queue is full when they are made. */
static void continuations_combinators_and_maps_are_exempt(void)
{
    shunt_pool *pool = bounded_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued = shunt_submit(pool, stage_same, &(long){ 1 });
    shunt_future *thens[100];
    long ins[100] = { 0 };

    assert_joins(shunt_submit(pool, stage_nothing, NULL), SHUNT_EAGAIN);
    for (int i = 0; i < 100; i++)
        thens[i] = shunt_then(shunt_retain(queued), stage_add_one);
    shunt_future *all = shunt_when_all(thens, 100);
    shunt_future *map = shunt_map(pool, stage_add_one, ins, 100);
    shunt_future *given = shunt_then(stage_given(pool, 4), stage_add_one);
    assert_status(shunt_status(map), SHUNT_PENDING);
    assert_status(shunt_status(given), SHUNT_PENDING);
    stage_let(hold);
    assert_joins(all, 0);
    assert_joins(map, 0);
    assert_takes(given, 5);
    assert_takes(queued, 1);
    harness_free(pool);
}

static int submit_elsewhere(shunt_pool *const *in, long *out)
{
    shunt_future *f = shunt_submit(*in, stage_nothing, NULL);

    *out = shunt_status(f);
    return shunt_release(f);
}
SHUNT_TASK(submit_elsewhere, shunt_pool *, long)

static void tasks_of_another_pool_are_outside(void)
{
    shunt_pool *pool = bounded_pool(1), *other = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued = shunt_submit(pool, stage_nothing, NULL);

    assert_takes(shunt_submit(other, submit_elsewhere, &pool), SHUNT_EAGAIN);
    stage_let(hold);
    assert_joins(queued, 0);
    harness_free(pool);
    harness_free(other);
}

/* ---- waiting for room ---- */

struct waiter {
    shunt_pool *pool;
    struct latch *before, *after;
    struct tally *ran;
    int count, wrong;
};

static void *submit_and_wait(void *user)
{
    struct waiter *waiter = user;

    for (long i = 0; i < waiter->count; i++) {
        latch_raise(waiter->before);
        shunt_future *f =
            shunt_submit_wait(waiter->pool, stage_job,
                              &(struct job){ .value = i, .ran = waiter->ran });
        latch_raise(waiter->after);
        long value = -1;
        if (shunt_take(f, &value) != 0 || value != i)
            waiter->wrong++;
    }
    return NULL;
}

/* Method: the thread is in, or just before, its submit for as long as the
 * worker is held; returning in that time would be wrong whenever it is seen. */
static void submit_wait_sleeps_until_there_is_room(void)
{
    shunt_pool *pool = bounded_pool(2);

    for (int round = 0; round < 20; round++) {
        struct stage_hold hold = stage_hold(pool);
        shunt_future *queued[2];
        struct waiter waiter = {
            pool, stage_latch(), stage_latch(), stage_tally(), 1, 0
        };
        pthread_t thread;
        for (int i = 0; i < 2; i++)
            queued[i] = shunt_submit_wait(pool, stage_nothing, NULL);
        assert_int_equal(
            pthread_create(&thread, NULL, submit_and_wait, &waiter), 0);
        assert_true(latch_reaches(waiter.before, 1));
        for (int i = 0; i < 1000; i++)
            assert_joins(shunt_submit(pool, stage_nothing, NULL), SHUNT_EAGAIN);
        assert_long(latch_level(waiter.after), 0);
        stage_let(hold);
        assert_true(latch_reaches(waiter.after, 1));
        pthread_join(thread, NULL);
        assert_long(waiter.wrong, 0);
        for (int i = 0; i < 2; i++)
            assert_joins(queued[i], 0);
        assert_long(tally_of(waiter.ran), 1);
    }
    harness_free(pool);
}

static void everybody_who_waits_for_room_gets_it(void)
{
    enum {
        THREADS = 8,
        EACH = 250
    };
    shunt_pool *pool = bounded_pool(2);
    struct waiter waiters[THREADS];
    pthread_t threads[THREADS];
    struct tally *ran = stage_tally();

    for (int i = 0; i < THREADS; i++) {
        waiters[i] =
            (struct waiter){ pool, stage_latch(), stage_latch(), ran, EACH, 0 };
        assert_int_equal(
            pthread_create(&threads[i], NULL, submit_and_wait, &waiters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_long(waiters[i].wrong, 0);
    }
    assert_long(tally_of(ran), THREADS * EACH);
    harness_free(pool);
}

struct refused {
    shunt_pool *pool;
    struct latch *before;
    struct tally *ran;
    shunt_future *future;
};

static void *be_refused(void *user)
{
    struct refused *refused = user;

    latch_raise(refused->before);
    refused->future = shunt_submit_wait(refused->pool, stage_job,
                                        &(struct job){ .ran = refused->ran });
    return NULL;
}

/* A drain makes no room while the worker is held. A cancel does, and who gets
 * it in that moment has been accepted, and is cancelled like the others. */
static void a_shutdown_releases_those_who_wait_for_room(void)
{
    static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL,
                                           SHUNT_KILL };
    int rounds = (int)harness_pools(300);

    for (int round = 0; round < rounds; round++) {
        enum shunt_how how = hows[round % 3];
        shunt_pool *pool = bounded_pool(1);
        struct stage_hold hold = stage_hold(pool);
        struct refused refused = { pool, stage_latch(), stage_tally(), NULL };
        pthread_t thread;
        (void)shunt_submit(pool, stage_nothing, NULL);
        assert_int_equal(pthread_create(&thread, NULL, be_refused, &refused),
                         0);
        assert_true(latch_reaches(refused.before, 1));
        int rc = shunt_pool_shutdown(pool, how, 0, NULL);
        /* A process may have been killed before that was asked. */
        assert_true(rc == SHUNT_ETIMEDOUT ||
                    (rc == 0 && how == SHUNT_KILL && harness_isolated()));
        pthread_join(thread, NULL);
        latch_raise(hold.go);
        harness_note("round %d, how %d", round, (int)how);
        int status = harness_await(refused.future);
        assert_true(status == SHUNT_ECLOSED ||
                    (status == SHUNT_ECANCELED && how != SHUNT_DRAIN));
        harness_free(pool);
        assert_long(tally_of(refused.ran), 0);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(the_limit_is_exact),
    CLAIM(the_default_limit_is_high),
    CLAIM(a_cancelled_task_makes_room),
    CLAIM(the_pools_own_tasks_are_exempt),
    CLAIM(continuations_combinators_and_maps_are_exempt),
    CLAIM_OF_THREADS(tasks_of_another_pool_are_outside),
    CLAIM(submit_wait_sleeps_until_there_is_room),
    CLAIM(everybody_who_waits_for_room_gets_it),
    CLAIM(a_shutdown_releases_those_who_wait_for_room),
};

HARNESS_MAIN(claims)
