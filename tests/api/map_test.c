/* SPDX-License-Identifier: MIT */
/*
 * map_test.c - shunt_map is one task per element, in order, as one future.
 */
#include <stdlib.h>
#include <string.h>

#include "inputs.h"

struct element {
    long value;
    long fail_at; /* fails if this is its value, or negative: never */
    struct tally *ran, *dropped;
};

static void count_drop(void *in)
{
    const struct element *element = in;

    tally_add(element->dropped, 1);
}

static int square(const struct element *in, long *out)
{
    if (in->ran != NULL)
        tally_add(in->ran, 1);
    *out = in->value * in->value;
    return in->value == in->fail_at ? shunt_fail(60, "element %ld", in->value)
                                    : 0;
}
SHUNT_TASK(square, struct element, long)

static int square_dropped(const struct element *in, long *out)
{
    return square(in, out);
}
SHUNT_TASK(square_dropped, struct element, long, .drop = count_drop)

/* Elements 0 to n-1, that share two tallies; the caller frees them. */
static struct element *elements(size_t n, long fail_at, struct tally *ran)
{
    struct element *made = calloc(n + 1, sizeof(*made));
    struct tally *dropped = stage_tally();

    for (size_t i = 0; i < n; i++)
        made[i] = (struct element){ (long)i, fail_at, ran, dropped };
    return made;
}

static void assert_squares(shunt_future *f, size_t n)
{
    assert_settles(f, 0);
    const shunt_results *results = shunt_peek(f, shunt_results);
    assert_non_null(results);
    assert_long((long long)results->count, (long long)n);
    assert_null(results->indices);
    for (size_t i = 0; i < n; i++) {
        const long *value = shunt_peek(results->futures[i], long);
        assert_non_null(value);
        assert_long(*value, (long)(i * i));
    }
    assert_ok(shunt_release(f));
}

static void map_gives_every_result_in_order_at_every_size(void)
{
    harness_footprint((size_t)32 << 20);
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);
        for (int i = 0; i < INPUT_SIZES; i++) {
            size_t n = input_sizes[i];
            struct element *ins = elements(n, -1, stage_tally());
            assert_squares(shunt_map(pool, square, ins, n), n);
            assert_squares(shunt_map_settled(pool, square, ins, n), n);
            if (n > 0)
                assert_long(tally_of(ins[0].ran), 2 * (long)n);
            free(ins);
        }
        harness_free(pool);
    }
}

static void the_elements_are_copied(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct element *ins = elements(1000, -1, NULL);

    shunt_future *f = shunt_map(pool, square, ins, 1000);
    memset(ins, 0xff, 1000 * sizeof *ins);
    stage_let(hold);
    assert_squares(f, 1000);
    free(ins);
    harness_free(pool);
}

static void map_of_nothing_succeeds(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_squares(shunt_map(pool, square, (struct element *)NULL, 0), 0);
    assert_squares(shunt_map_settled(pool, square, (struct element *)NULL, 0),
                   0);
    harness_free(pool);
}

/* ---- failures ---- */

static void a_failing_element_fails_the_map(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 1; i < INPUT_SIZES; i++) {
        size_t n = input_sizes[i];
        const long at[] = { 0, (long)n / 2, (long)n - 1 };
        for (int j = 0; j < 3; j++) {
            struct element *ins = elements(n, at[j], NULL);
            shunt_future *f = shunt_map(pool, square, ins, n);
            char text[32];
            snprintf(text, sizeof text, "element %ld", at[j]);
            assert_fails_with(f, 60);
            assert_string_equal(shunt_error_of(f)->task, "square");
            assert_non_null(strstr(shunt_error_of(f)->message, text));
            assert_null(shunt_peek(f, shunt_results));
            assert_ok(shunt_release(f));
            free(ins);
        }
    }
    harness_free(pool);
}

static void map_settled_keeps_what_succeeded_beside_what_failed(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 1; i < INPUT_SIZES; i++) {
        size_t n = input_sizes[i], bad = n / 2;
        struct element *ins = elements(n, (long)bad, NULL);
        shunt_future *f = shunt_map_settled(pool, square, ins, n);
        assert_settles(f, 0);
        const shunt_results *results = shunt_peek(f, shunt_results);
        assert_non_null(results);
        for (size_t j = 0; j < n; j++)
            assert_status(shunt_status(results->futures[j]),
                          j == bad ? SHUNT_EFAILED : 0);
        assert_long(shunt_error_of(results->futures[bad])->task_code, 60);
        assert_ok(shunt_release(f));
        free(ins);
    }
    harness_free(pool);
}

static int always_fail(const long *in, long *out)
{
    (void)out;
    return 100 + (int)*in;
}
SHUNT_TASK(always_fail, long, long)

static void a_map_may_fail_in_every_element(void)
{
    shunt_pool *pool = harness_pool(2);
    long ins[785];

    for (long i = 0; i < 785; i++)
        ins[i] = i;
    shunt_future *f = shunt_map(pool, always_fail, ins, 785);
    assert_settles(f, SHUNT_EFAILED);
    assert_in_range(shunt_error_of(f)->task_code, 100, 884);
    assert_ok(shunt_release(f));
    f = shunt_map_settled(pool, always_fail, ins, 785);
    assert_settles(f, 0);
    const shunt_results *results = shunt_peek(f, shunt_results);
    for (int i = 0; i < 785; i++)
        assert_long(shunt_error_of(results->futures[i])->task_code, 100 + i);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void a_bad_argument_fails_the_map(void)
{
    shunt_pool *pool = harness_pool(1);
    struct element one = { 0 };

    assert_joins(shunt_map(pool, square, (struct element *)NULL, 3),
                 SHUNT_EINVAL);
    assert_joins(shunt_map(NULL, square, &one, 1), SHUNT_EINVAL);
    assert_joins(shunt_map_task(pool, NULL, &one, 1, false, NULL),
                 SHUNT_EINVAL);
    shunt_future *f = shunt_map(pool, square, &one, SIZE_MAX);
    assert_true(shunt_status(f) == SHUNT_EINVAL ||
                shunt_status(f) == SHUNT_ENOMEM);
    f = shunt_map_settled(pool, square, &one, SIZE_MAX / sizeof one + 1);
    assert_true(shunt_status(f) == SHUNT_EINVAL ||
                shunt_status(f) == SHUNT_ENOMEM);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_map(pool, square, &one, 1), SHUNT_ECLOSED);
    harness_free(pool);
}

static int careless(const long *in, long *out)
{
    return stage_same(in, out);
}
SHUNT_TASK(careless, long, long, .untrusted = true)

static void a_map_of_a_kind_that_cannot_run_here_fails(void)
{
    shunt_pool *pool = NULL;
    long ins[3] = { 1, 2, 3 };

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .mode = SHUNT_THREADS, .workers = 1 }));
    assert_joins(shunt_map(pool, careless, ins, 3), SHUNT_ENOTSUP);
    harness_free(pool);
}

/* ---- in tasks, and nested ---- */

static int map_inside(const long *in, long *out)
{
    long ins[50];

    for (long i = 0; i < *in; i++)
        ins[i] = i;
    shunt_future *f = shunt_map(NULL, stage_add_one, ins, (size_t)*in);
    int rc = shunt_await(f);
    const shunt_results *results = shunt_peek(f, shunt_results);
    for (size_t i = 0; results != NULL && i < results->count; i++)
        *out += *shunt_peek(results->futures[i], long);
    return rc;
}
SHUNT_TASK(map_inside, long, long)

static void maps_nest_on_a_pool_of_one(void)
{
    shunt_pool *pool = harness_pool(1);
    long ins[51];

    harness_footprint((size_t)64 * (256 << 10));
    for (long i = 0; i < 51; i++)
        ins[i] = i;
    shunt_future *f = shunt_map(pool, map_inside, ins, 51);
    assert_settles(f, 0);
    const shunt_results *results = shunt_peek(f, shunt_results);
    for (long i = 0; i < 51; i++)
        assert_long(*shunt_peek(results->futures[i], long), i * (i + 1) / 2);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void a_map_is_a_future_like_any_other(void)
{
    shunt_pool *pool = harness_pool(2);
    struct element *ins = elements(100, -1, NULL);
    shunt_future *fs[2];

    assert_takes(shunt_then(shunt_map(pool, square, ins, 100), stage_sum),
                 328350);
    for (int i = 0; i < 2; i++)
        fs[i] = shunt_then(shunt_map(pool, square, ins, 100), stage_sum);
    assert_takes(shunt_then(shunt_when_all(fs, 2), stage_sum), 656700);
    free(ins);
    harness_free(pool);
}

static void an_element_may_be_retained_beyond_its_map(void)
{
    shunt_pool *pool = harness_pool(1);
    struct element *ins = elements(100, -1, NULL);

    shunt_future *f = shunt_map(pool, square, ins, 100);
    assert_settles(f, 0);
    const shunt_results *results = shunt_peek(f, shunt_results);
    shunt_future *kept = shunt_retain(results->futures[9]);
    shunt_future *lent = results->futures[9];
    assert_non_null(kept);
    assert_ok(shunt_release(f));
    /* The only worker may have been at the end of settling it. */
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_stale(lent);
    assert_takes(kept, 81);
    free(ins);
    harness_free(pool);
}

/* ---- cancel and drop ---- */

static void a_cancelled_map_starts_no_further_element(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct element *ins = elements(1000, -1, stage_tally());

    shunt_future *f = shunt_map(pool, square, ins, 1000);
    assert_long(shunt_cancel(f), 1);
    assert_settles(f, SHUNT_ECANCELED);
    stage_let(hold);
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_ok(shunt_release(f));
    harness_free(pool);
    assert_long(tally_of(ins[0].ran), 0);
    free(ins);
}

static void every_element_is_dropped_exactly_once(void)
{
    static const long fail_at[] = { -1, 0, 500, 999 };

    for (size_t i = 0; i < sizeof fail_at / sizeof fail_at[0]; i++) {
        shunt_pool *pool = harness_pool(2);
        struct element *ins = elements(1000, fail_at[i], stage_tally());
        assert_joins(shunt_map(pool, square_dropped, ins, 1000),
                     fail_at[i] < 0 ? 0 : SHUNT_EFAILED);
        harness_free(pool);
        assert_long(tally_of(ins[0].dropped), 1000);
        free(ins);
    }
}

static void the_elements_of_a_cancelled_map_are_dropped_once_too(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct element *ins = elements(1000, -1, stage_tally());

    shunt_future *f = shunt_map(pool, square_dropped, ins, 1000);
    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    stage_let(hold);
    harness_free(pool);
    assert_long(tally_of(ins[0].dropped), 1000);
    assert_long(tally_of(ins[0].ran), 0);
    free(ins);
}

/* ---- costs ---- */

static int work(const long *in, long *out)
{
    volatile long count = *in;

    while (count > 0)
        count = count - 1;
    *out = *in;
    return 0;
}
SHUNT_TASK(work, long, long)

/* Method: elements that cost a few nanoseconds beside some that cost a
 * hundred thousand times as much, so that a chunk is sometimes misjudged. */
static void elements_of_very_different_cost_are_all_done(void)
{
    enum {
        N = 3000
    };
    static long ins[N];
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < N; i++)
        ins[i] = i % 300 == 299 ? 100000 : i % 7;
    for (int round = 0; round < 5; round++) {
        shunt_future *f = shunt_map(pool, work, ins, N);
        assert_settles(f, 0);
        const shunt_results *results = shunt_peek(f, shunt_results);
        for (int i = 0; i < N; i++)
            assert_long(*shunt_peek(results->futures[i], long), ins[i]);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(map_gives_every_result_in_order_at_every_size),
    CLAIM(the_elements_are_copied),
    CLAIM(map_of_nothing_succeeds),
    CLAIM(a_failing_element_fails_the_map),
    CLAIM(map_settled_keeps_what_succeeded_beside_what_failed),
    CLAIM(a_map_may_fail_in_every_element),
    CLAIM(a_bad_argument_fails_the_map),
    CLAIM(a_map_of_a_kind_that_cannot_run_here_fails),
    CLAIM(maps_nest_on_a_pool_of_one),
    CLAIM(a_map_is_a_future_like_any_other),
    CLAIM(an_element_may_be_retained_beyond_its_map),
    CLAIM(a_cancelled_map_starts_no_further_element),
    CLAIM(every_element_is_dropped_exactly_once),
    CLAIM(the_elements_of_a_cancelled_map_are_dropped_once_too),
    CLAIM(elements_of_very_different_cost_are_all_done),
};

HARNESS_MAIN(claims)
