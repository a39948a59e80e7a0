/* SPDX-License-Identifier: MIT */
/*
 * pipeline_cancel_test.c - a pipeline that is cancelled, late, or of a pool
 * that ends, ends soon, and nothing of it runs any more.
 */
#include <sched.h>

#include "items.h"

/* ---- cancellation ---- */

static void a_cancelled_pipeline_ends_soon(void)
{
    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (int round = 0; round < 20; round++) {
            struct world *w = world(-1);
            shunt_stage stages[] = {
                SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
                SHUNT_STAGE(begin, SHUNT_PARALLEL),
                SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
            };
            shunt_future *f = shunt_pipeline(pool, stages, 3, .tokens = 4);
            long made;

            assert_true(latch_reaches(w->begun, 1));
            for (int i = 0; i < round; i++)
                sched_yield();
            assert_status(shunt_cancel(f), 1);
            assert_joins(f, SHUNT_ECANCELED);
            made = tally_of(w->made);
            /* No code of it runs any more. */
            assert_in_range(tally_of(w->dropped), made, 2 * made);
            assert_long(tally_of(w->made), made);
        }
        harness_free(pool);
    }
}

static int heed(const struct item *in, shunt_none *out)
{
    (void)out;
    latch_raise(in->w->begun);
    while (!shunt_cancelled())
        sched_yield();
    tally_add(in->w->most, 1);
    return SHUNT_ECANCELED;
}
SHUNT_TASK(heed, struct item, shunt_none)

static int set_off(const struct item *in, struct item *out)
{
    *out = *in;
    return in->number == 1 && !latch_reaches(in->w->begun, 1) ? STAGE_LATE : 0;
}
SHUNT_TASK(set_off, struct item, struct item)

/* Method: item 0 is in a serial stage and looks whether it was cancelled, the
 * others wait for their turn; the future settles behind them. */
static void stages_may_heed_a_cancellation_and_are_waited_for(void)
{
    shunt_pool *pool = harness_pool(3);

    for (int order = 1; order < 3; order++) {
        struct world *w = world(-1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(set_off, SHUNT_PARALLEL),
            SHUNT_STAGE(heed, (shunt_stage_order)order),
        };
        shunt_future *f = shunt_pipeline(pool, stages, 3, .tokens = 8);

        assert_true(latch_reaches(w->begun, 1));
        assert_status(shunt_cancel(f), 1);
        assert_joins(f, SHUNT_ECANCELED);
        assert_true(tally_of(w->most) > 0);
        assert_long(latch_level(w->begun), 1);
    }
    harness_free(pool);
}

static void a_pipeline_that_is_cancelled_in_the_queue_never_begins(void)
{
    struct world *w = world(-1);
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
    };
    shunt_future *f = shunt_pipeline(pool, stages, 1);

    assert_status(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    stage_let(hold);
    harness_free(pool);
    assert_long(tally_of(w->made), 0);
}

static int pipe_for_ever(struct world *const *w, int *out)
{
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, w),
        SHUNT_STAGE(begin, SHUNT_PARALLEL),
    };

    *out = shunt_join(shunt_pipeline(NULL, stages, 2));
    return 0;
}
SHUNT_TASK(pipe_for_ever, struct world *, int)

static void a_pipeline_has_the_deadline_of_its_task(void)
{
    struct world *w = world(-1);
    shunt_pool *pool = NULL;
    shunt_future *f;
    int rc, joined = 0;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2, .manual_clock = true }));
    f = shunt_submit_with(pool, pipe_for_ever, &w, .deadline_ns = SHUNT_S(1));
    assert_true(latch_reaches(w->begun, 1));
    assert_ok(shunt_pool_advance(pool, SHUNT_S(2)));
    /* The task may hear that its pipeline's has come before its own has. */
    rc = shunt_take(f, &joined);
    assert_status(rc == 0 ? joined : rc, SHUNT_ETIMEDOUT);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    harness_free(pool);
    assert_long(tally_of(w->dropped), tally_of(w->made));
}

static void a_pool_that_is_cancelled_ends_its_pipelines(void)
{
    struct world *w = world(-1);
    shunt_pool *pool = harness_pool(2);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(begin, SHUNT_SERIAL_IN_ORDER),
    };
    shunt_future *f = shunt_pipeline(pool, stages, 2);

    assert_true(latch_reaches(w->begun, 1));
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    assert_joins(f, SHUNT_ECANCELED);
    assert_long(tally_of(w->dropped), tally_of(w->made));
    harness_free(pool);
}

static void a_pool_that_drains_waits_for_its_pipelines(void)
{
    struct world *w = world(500);
    shunt_pool *pool = harness_pool(2);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(square, SHUNT_PARALLEL),
        SHUNT_STAGE(add_up, SHUNT_SERIAL_IN_ORDER),
        SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
    };
    shunt_future *f = shunt_pipeline(pool, stages, 4, .tokens = 3);

    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(f, 0);
    assert_long(w->last, 499);
    harness_free(pool);
}

/* A stage that has committed, and then waits for a turn that never comes. */
static int commit(const struct item *in, struct item *out)
{
    *out = *in;
    if (in->number == 0)
        return latch_reaches(in->w->begun, 3) ? 6 : STAGE_LATE;
    if (shunt_commit() != 0)
        return 7;
    latch_raise(in->w->begun);
    return 0;
}
SHUNT_TASK(commit, struct item, struct item, .drop = drop_item)

static void who_has_committed_waits_for_no_turn_that_never_comes(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < 20; round++) {
        struct world *w = world(round % 2 == 0 ? 4 : -1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(commit, SHUNT_PARALLEL),
            SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
        };
        shunt_future *f = shunt_pipeline(pool, stages, 3, .tokens = 4);

        assert_fails_with(f, 6);
        assert_ok(shunt_release(f));
        assert_long(tally_of(w->made), 4);
        assert_long(w->last, -1);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_cancelled_pipeline_ends_soon),
    CLAIM(stages_may_heed_a_cancellation_and_are_waited_for),
    CLAIM(a_pipeline_that_is_cancelled_in_the_queue_never_begins),
    CLAIM_OF_THREADS(a_pipeline_has_the_deadline_of_its_task),
    CLAIM(a_pool_that_is_cancelled_ends_its_pipelines),
    CLAIM(a_pool_that_drains_waits_for_its_pipelines),
    CLAIM(who_has_committed_waits_for_no_turn_that_never_comes),
};

HARNESS_MAIN(claims)
