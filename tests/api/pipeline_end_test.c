/* SPDX-License-Identifier: MIT */
/*
 * pipeline_end_test.c - a pipeline ends as its first item that fails, or dies,
 * and drops what is in flight.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "items.h"

/* ---- failures ---- */

static int fail_at(const struct item *in, struct item *out)
{
    *out = *in;
    if (in->number != in->w->fail_at)
        return 0;
    return shunt_fail(60 + (int)in->number % 7, "item %ld.", in->number);
}
SHUNT_TASK(fail_at, struct item, struct item, .drop = drop_item)

static void a_stage_that_fails_fails_the_pipeline_and_stops_the_source(void)
{
    static const long at[] = { 0, 1, 5, 100 };

    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (int order = 0; order < 3; order++)
            for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
                struct world *w = world(-1);
                shunt_stage stages[] = {
                    SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
                    SHUNT_STAGE(fail_at, (shunt_stage_order)order),
                    SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
                };
                shunt_future *f;
                char text[32];

                w->fail_at = at[i];
                f = shunt_pipeline(pool, stages, 3, .tokens = 5);
                assert_fails_with(f, 60 + (int)at[i] % 7);
                snprintf(text, sizeof text, "item %ld.", at[i]);
                assert_non_null(strstr(shunt_error_of(f)->message, text));
                assert_ok(shunt_release(f));
                assert_in_range(tally_of(w->made), at[i] + 1, at[i] + 6);
                assert_true(w->last < at[i]);
            }
        harness_free(pool);
    }
}

static int fail_silently(const struct item *in, struct item *out)
{
    *out = *in;
    return in->number == 2 ? 8 : 0;
}
SHUNT_TASK(fail_silently, struct item, struct item)

static void a_failure_without_a_text_says_which_stage_and_item(void)
{
    struct world *w = world(-1);
    shunt_pool *pool = harness_pool(2);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(fail_silently, SHUNT_SERIAL_IN_ORDER),
    };
    shunt_future *f = shunt_pipeline(pool, stages, 2);

    assert_fails_with(f, 8);
    assert_non_null(strstr(shunt_error_of(f)->message,
                           "stage 1, fail_silently, returned 8 for item 2"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* Each value that was made is dropped once: in flight, waiting for its turn, or
 * not sent at all. */
static void what_is_in_flight_is_dropped_once(void)
{
    shunt_pool *pool = harness_pool(3);

    for (int round = 0; round < 50; round++) {
        struct world *w = world(-1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(fail_at, SHUNT_PARALLEL),
        };
        long made;

        w->fail_at = round;
        assert_joins(shunt_pipeline(pool, stages, 2, .tokens = 7),
                     SHUNT_EFAILED);
        made = tally_of(w->made);
        assert_true(made > round);
        assert_long(tally_of(w->dropped), made);
    }
    harness_free(pool);
}

/* Item 5 fails while item 3 is here, which then fails, too. */
static int fail_twice(const struct item *in, shunt_none *out)
{
    (void)out;
    if (in->number == 5)
        return latch_reaches(in->w->begun, 1) ? 5 : STAGE_LATE;
    if (in->number != 3)
        return 0;
    latch_raise(in->w->begun);
    while (!shunt_cancelled())
        sched_yield();
    return 3;
}
SHUNT_TASK(fail_twice, struct item, shunt_none)

static void of_items_that_fail_the_first_one_is_told(void)
{
    shunt_pool *pool = harness_pool(3);

    for (int round = 0; round < 50; round++) {
        struct world *w = world(-1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(fail_twice, SHUNT_PARALLEL),
        };
        shunt_future *f = shunt_pipeline(pool, stages, 2, .tokens = 6);

        assert_fails_with(f, 3);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static int make_some(const shunt_none *in, struct world *const *w,
                     struct item *out)
{
    int rc = make(in, w, out);

    if (rc == SHUNT_PIPELINE_END)
        return shunt_fail(70, "no item %ld", (*w)->n);
    return rc;
}
SHUNT_STEP(make_some, shunt_none, struct world *, struct item)

static void a_source_may_fail(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long n = 0; n < 10; n++) {
        struct world *w = world(n);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make_some, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(fail_at, SHUNT_PARALLEL),
        };
        shunt_future *f = shunt_pipeline(pool, stages, 2, .tokens = 3);

        assert_fails_with(f, 70);
        assert_non_null(strstr(shunt_error_of(f)->message, "no item"));
        assert_ok(shunt_release(f));
        assert_long(tally_of(w->dropped), n);
    }
    harness_free(pool);
}

/* The end of a source is no failure, whatever it has said before. */
static int make_and_say(const shunt_none *in, struct world *const *w,
                        struct item *out)
{
    (void)shunt_fail(1, "not so");
    return make(in, w, out);
}
SHUNT_STEP(make_and_say, shunt_none, struct world *, struct item)

static int end_as_a_source(const struct item *in, shunt_none *out)
{
    (void)out;
    return in->number == 1 ? SHUNT_PIPELINE_END : 0;
}
SHUNT_TASK(end_as_a_source, struct item, shunt_none)

static void the_end_is_said_by_the_source_alone(void)
{
    struct world *w = world(5);
    shunt_pool *pool = harness_pool(2);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make_and_say, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(end_as_a_source, SHUNT_PARALLEL),
    };
    shunt_future *f;

    assert_joins(shunt_pipeline(pool, stages, 1), 0);
    w->next = 0;
    f = shunt_pipeline(pool, stages, 2);
    assert_fails_with(f, SHUNT_PIPELINE_END);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* ---- processes ---- */

static int note_process(const struct item *in, shunt_none *out)
{
    long *processes = stage_shown(STAGE_OF_TEST);

    (void)out;
    processes[in->number] = stage_process();
    latch_raise(in->w->begun);
    return latch_reaches(in->w->begun, 3) ? 0 : STAGE_LATE;
}
SHUNT_TASK(note_process, struct item, shunt_none)

static void items_are_spread_over_the_processes(void)
{
    struct world *w = world(3);
    long *processes = stage_bytes(3 * sizeof *processes);
    shunt_pool *pool = harness_pool(4);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(note_process, SHUNT_PARALLEL),
    };

    stage_show(STAGE_OF_TEST, processes);
    assert_joins(shunt_pipeline(pool, stages, 2, .tokens = 3), 0);
    assert_true(processes[0] != processes[1] && processes[1] != processes[2] &&
                processes[0] != processes[2]);
    harness_free(pool);
}

/* The pool has pipelines as ever. */
static void assert_works(shunt_pool *pool)
{
    struct world *w = world(50);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(fail_at, SHUNT_PARALLEL),
        SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
    };

    assert_joins(shunt_pipeline(pool, stages, 3, .tokens = 6), 0);
    assert_long(w->last, 49);
    assert_long(tally_of(w->dropped), 2 * 50);
}

static int die_at(const struct item *in, struct item *out)
{
    *out = *in;
    if (in->number == in->w->fail_at)
        abort();
    return 0;
}
SHUNT_TASK(die_at, struct item, struct item, .drop = drop_item)

static void a_stage_that_dies_fails_the_pipeline_and_the_pool_goes_on(void)
{
    shunt_pool *pool = harness_pool(3);

    for (int order = 0; order < 3; order++)
        for (long round = 0; round < harness_pools(20); round++) {
            struct world *w = world(-1);
            shunt_stage stages[] = {
                SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
                SHUNT_STAGE(die_at, (shunt_stage_order)order),
                SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
            };

            w->fail_at = round * 7;
            assert_joins(shunt_pipeline(pool, stages, 3, .tokens = 5),
                         SHUNT_ECRASHED);
            assert_in_range(tally_of(w->made), w->fail_at, w->fail_at + 6);
            assert_works(pool);
        }
    harness_free(pool);
}

static int die_as_source(const shunt_none *in, struct world *const *w,
                         struct item *out)
{
    if ((*w)->next == (*w)->fail_at)
        abort();
    return make(in, w, out);
}
SHUNT_STEP(die_as_source, shunt_none, struct world *, struct item)

static void a_source_that_dies_fails_the_pipeline(void)
{
    shunt_pool *pool = harness_pool(3);

    for (long round = 0; round < harness_pools(50); round++) {
        struct world *w = world(-1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(die_as_source, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(fail_at, SHUNT_PARALLEL),
            SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
        };

        w->fail_at = round * 5;
        assert_joins(shunt_pipeline(pool, stages, 3, .tokens = 5),
                     SHUNT_ECRASHED);
        assert_works(pool);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_stage_that_fails_fails_the_pipeline_and_stops_the_source),
    CLAIM(a_failure_without_a_text_says_which_stage_and_item),
    CLAIM(what_is_in_flight_is_dropped_once),
    CLAIM(of_items_that_fail_the_first_one_is_told),
    CLAIM(a_source_may_fail),
    CLAIM(the_end_is_said_by_the_source_alone),
    CLAIM_OF_PROCESSES(items_are_spread_over_the_processes),
    CLAIM_OF_PROCESSES(
        a_stage_that_dies_fails_the_pipeline_and_the_pool_goes_on),
    CLAIM_OF_PROCESSES(a_source_that_dies_fails_the_pipeline),
};

HARNESS_MAIN(claims)
