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

        assert_ok(shunt_pool_new(
            &mover.pool,
            &(shunt_options){ .workers = 2, .manual_clock = true }));
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

    assert_ok(shunt_pool_new(
        &pool,
        &(shunt_options){ .workers = 1, .spares = -1, .manual_clock = true }));
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

/* Waits for a future of its own, which nobody but a drain would end. */
static int wait_a_while(const shunt_outcome *in, struct tally *const *ctx,
                        shunt_none *out)
{
    (void)out;
    if (in->status == SHUNT_ECANCELED &&
        shunt_await_for(shunt_delay(NULL, SHUNT_FOREVER), SHUNT_MS(10)) ==
            SHUNT_PENDING)
        tally_add(*ctx, 1);
    return 0;
}
SHUNT_STEP(wait_a_while, shunt_outcome, struct tally *, shunt_none)

/* Leaves the worker records that were used. */
static int use_records(const shunt_none *in, shunt_none *out)
{
    shunt_future *fs[50];

    (void)in;
    (void)out;
    for (int i = 0; i < 50; i++)
        fs[i] = shunt_delay(NULL, 0);
    for (int i = 0; i < 50; i++)
        (void)shunt_release(fs[i]);
    return 0;
}
SHUNT_TASK(use_records, shunt_none, shunt_none)

/* Method: the drain ends a promise, which sets a task going. That makes a
 * future, in a record behind many others, while the drain is still at those. */
static void a_drain_leaves_what_is_made_after_it_has_ended_a_promise(void)
{
    enum {
        FUTURES = 20000
    };
    shunt_future **fs = stage_bytes(FUTURES * sizeof *fs);

    for (int i = harness_thorough() ? 10 : 3; i > 0; i--) {
        shunt_pool *pool = harness_pool(2);
        struct stage_promise never = stage_promise(pool);
        struct tally *waited = stage_tally();
        shunt_future *f =
            shunt_finally_with(never.future, wait_a_while, &waited);

        for (int k = 0; k < FUTURES; k++)
            fs[k] = shunt_submit(pool, stage_nothing, NULL);
        for (int k = 0; k < 8; k++)
            assert_joins(shunt_submit(pool, use_records, NULL), 0);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(waited), 1);
        assert_joins(f, SHUNT_ECANCELED);
        assert_ok(shunt_promise_drop(never.promise));
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_drain_ends_while_a_clock_is_moved_all_the_time),
    CLAIM_OF_THREADS(a_drain_waits_for_what_is_queued_behind_a_stuck_worker),
    CLAIM(a_drain_leaves_what_is_made_after_it_has_ended_a_promise),
};

HARNESS_MAIN(claims)
