/* SPDX-License-Identifier: MIT */
/*
 * drain_test.c - a drain beside what else goes on meanwhile: a clock that is
 * moved, a worker that is stuck.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "stage.h"

struct mover {
    shunt_pool *pool;
    atomic_bool over;
};

static void *move_clock(void *arg)
{
    struct mover *m = arg;

    while (!atomic_load(&m->over))
        if (shunt_pool_advance(m->pool, 1) != 0)
            return m;
    return NULL;
}

/* Method: a thread does nothing but move the clock, so that the timekeeper is
 * hardly ever asleep. Nothing is due but what the drain waits for. */
static void a_drain_ends_while_a_clock_is_moved_all_the_time(void)
{
    for (int i = 0; i < 20; i++) {
        struct mover mover;
        shunt_future *f;
        pthread_t thread;
        void *failed;

        assert_ok(shunt_pool_new(&mover.pool,
                                 &(shunt_options){ .workers = 2,
                                                   .manual_clock = true }));
        atomic_init(&mover.over, false);
        f = shunt_delay(mover.pool, 10);
        assert_int_equal(pthread_create(&thread, NULL, move_clock, &mover), 0);
        assert_ok(shunt_pool_shutdown(mover.pool, SHUNT_DRAIN,
                                      harness_patience(), NULL));
        atomic_store(&mover.over, true);
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
        assert_joins(f, 0);
        harness_free(mover.pool);
    }
}

static int keep(shunt_promise *const *in, long *out)
{
    *out = 5;
    return shunt_promise_give(*in, out);
}
SHUNT_TASK(keep, shunt_promise *, long)

/* Method: the only worker is stuck, and nobody may stand in for it; the task
 * that is to keep the promise is queued behind. */
static void a_drain_waits_for_what_is_queued_behind_a_stuck_worker(void)
{
    shunt_pool *pool;
    struct job job = { .started = stage_latch(), .go = stage_latch() };
    struct stage_promise kept;
    shunt_future *stuck, *keeper;
    size_t left = 0;

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 1,
                                                      .spares = -1,
                                                      .manual_clock = true }));
    kept = stage_promise(pool);
    stuck = shunt_submit_with(pool, stage_job, &job, .deadline_ns = 1);
    assert_true(latch_reaches(job.started, 1));
    assert_ok(shunt_pool_advance(pool, 1));
    assert_status(shunt_status(stuck), SHUNT_ETIMEDOUT);
    keeper = shunt_submit(pool, keep, &kept.promise);
    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_MS(50), &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, 2);
    latch_raise(job.go);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_takes(kept.future, 5);
    assert_takes(keeper, 5);
    assert_ok(shunt_release(stuck));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_drain_ends_while_a_clock_is_moved_all_the_time),
    CLAIM(a_drain_waits_for_what_is_queued_behind_a_stuck_worker),
};

HARNESS_MAIN(claims)
