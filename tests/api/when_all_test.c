/* SPDX-License-Identifier: MIT */
/*
 * when_all_test.c - when_all and when_all_settled against the table of
 * inputs, and what only they promise.
 */
#include "inputs.h"

static void assert_results(const struct inputs *inputs, shunt_future *made)
{
    const shunt_results *results = shunt_peek(made, shunt_results);

    assert_non_null(results);
    assert_long((long long)results->count, (long long)inputs->n);
    assert_null(results->indices);
    for (size_t i = 0; i < inputs->n; i++)
        assert_is_input(inputs, results->futures[i], i);
}

/* ---- when_all ---- */

static shunt_future *all_of(const struct inputs *inputs)
{
    return shunt_when_all(inputs->futures, inputs->n);
}

static void check_all(const struct inputs *inputs, shunt_future *made)
{
    int status = harness_await(made);

    if (good_among(inputs) == inputs->n) {
        assert_ok(status);
        assert_results(inputs, made);
        assert_ok(shunt_release(made));
        return;
    }
    assert_status(status, status_of(inputs, nth_by_index(inputs, 0, false)));
    assert_null(shunt_peek(made, shunt_results));
    const shunt_error *error = shunt_error_of(made);
    size_t bad = nth_seen(inputs, 0, false);
    if (!order_is_known(inputs))
        bad = (size_t)(error->task_code - INPUT_CODE);
    if (inputs->pattern == ALL_CANCELLED ||
        inputs->pattern == MIDDLE_CANCELLED) {
        assert_joins(made, SHUNT_ECANCELED);
        return;
    }
    assert_true(bad < inputs->n && fate_of(inputs, bad) == FAILS);
    assert_fails_with(made, INPUT_CODE + (int)bad);
    assert_joins(made, SHUNT_EFAILED);
}

static void when_all_gives_every_result_or_the_first_failure(void)
{
    for_every_row(all_of, check_all);
}

/* Method: only the failing input settles; the others never do. */
static void when_all_fails_without_waiting_for_the_rest(void)
{
    shunt_pool *pool = harness_pool(1);

    for (size_t failing = 0; failing < 785; failing += 28) {
        struct stage_promise made[785];
        shunt_future *fs[785];
        for (size_t i = 0; i < 785; i++) {
            made[i] = stage_promise(pool);
            fs[i] = made[i].future;
        }
        shunt_future *all = shunt_when_all(fs, 785);
        assert_ok(shunt_promise_fail(made[failing].promise, 7, NULL));
        assert_fails_with(all, 7);
        assert_ok(shunt_release(all));
    }
    harness_free(pool);
}

/* ---- when_all_settled ---- */

static shunt_future *all_settled_of(const struct inputs *inputs)
{
    return shunt_when_all_settled(inputs->futures, inputs->n);
}

static void check_all_settled(const struct inputs *inputs, shunt_future *made)
{
    assert_settles(made, 0);
    assert_results(inputs, made);
    assert_long((long long)inputs->settled, (long long)inputs->n);
    assert_ok(shunt_release(made));
}

static void when_all_settled_gives_every_outcome(void)
{
    for_every_row(all_settled_of, check_all_settled);
}

/* Method: all but one input settle, each in turn being the last. */
static void both_wait_for_the_last_input(void)
{
    enum {
        INPUTS = 60
    };
    shunt_pool *pool = harness_pool(1);

    for (size_t last = 0; last < 2 * INPUTS; last++) {
        struct stage_promise made[INPUTS];
        shunt_future *fs[INPUTS];
        for (size_t i = 0; i < INPUTS; i++) {
            made[i] = stage_promise(pool);
            fs[i] = made[i].future;
        }
        shunt_future *all = last % 2 == 0 ? shunt_when_all(fs, INPUTS)
                                          : shunt_when_all_settled(fs, INPUTS);
        for (size_t i = 0; i < INPUTS; i++) {
            if (i != last / 2)
                stage_give(made[i].promise, 1);
        }
        assert_status(shunt_await_for(all, 0), SHUNT_PENDING);
        assert_null(shunt_peek(all, shunt_results));
        stage_give(made[last / 2].promise, 1);
        assert_joins(all, 0);
    }
    harness_free(pool);
}

/* ---- empty, and results ---- */

static void assert_empty_results(shunt_future *f)
{
    assert_settles(f, 0);
    const shunt_results *results = shunt_peek(f, shunt_results);
    assert_non_null(results);
    assert_long((long long)results->count, 0);
    assert_null(results->indices);
    assert_ok(shunt_release(f));
}

static int count_results(const shunt_results *in, long *out)
{
    *out = (long)in->count;
    return 0;
}
SHUNT_TASK(count_results, shunt_results, long)

static int empty_inside(const shunt_none *in, long *out)
{
    (void)in;
    shunt_future *f = shunt_then(shunt_when_all(NULL, 0), count_results);
    return shunt_take(f, out);
}
SHUNT_TASK(empty_inside, shunt_none, long)

static void all_of_nothing_succeeds_at_once(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_empty_results(shunt_when_all(NULL, 0));
    assert_empty_results(shunt_when_all_settled(NULL, 0));
    assert_empty_results(shunt_via(pool, shunt_when_all(NULL, 0)));
    assert_takes(
        shunt_then(shunt_via(pool, shunt_when_all(NULL, 0)), count_results), 0);
    assert_takes(shunt_submit(pool, empty_inside, NULL), 0);
    harness_free(pool);
}

static void a_continuation_can_read_all_results(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_future *fs[1000];

    for (int round = 0; round < 20; round++) {
        for (long i = 0; i < 1000; i++)
            fs[i] = shunt_submit(pool, stage_same, &i);
        assert_takes(shunt_then(shunt_when_all(fs, 1000), stage_sum), 499500);
    }
    harness_free(pool);
}

static void results_cannot_be_taken(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = stage_given(pool, 1);
    shunt_results results;

    f = shunt_when_all(&f, 1);
    assert_status(shunt_take(f, &results), SHUNT_EINVAL);
    assert_stale(f);
    harness_free(pool);
}

/* Method: one worker, and every input a task that awaits the others' kind. */
static int wait_for_all(const long *in, long *out)
{
    shunt_future *fs[40];

    for (long i = 0; i < 40; i++)
        fs[i] = shunt_submit(NULL, stage_same, &(long){ *in + i });
    return shunt_take(shunt_then(shunt_when_all(fs, 40), stage_sum), out);
}
SHUNT_TASK(wait_for_all, long, long)

static void tasks_on_one_worker_wait_for_all_of_their_children(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *fs[40];

    harness_footprint((size_t)64 * (256 << 10));
    for (long i = 0; i < 40; i++)
        fs[i] = shunt_submit(pool, wait_for_all, &i);
    assert_takes(shunt_then(shunt_when_all(fs, 40), stage_sum),
                 40 * 780 + 40 * 780);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(when_all_gives_every_result_or_the_first_failure),
    CLAIM(when_all_fails_without_waiting_for_the_rest),
    CLAIM(when_all_settled_gives_every_outcome),
    CLAIM(both_wait_for_the_last_input),
    CLAIM(all_of_nothing_succeeds_at_once),
    CLAIM(a_continuation_can_read_all_results),
    CLAIM(results_cannot_be_taken),
    CLAIM(tasks_on_one_worker_wait_for_all_of_their_children),
};

HARNESS_MAIN(claims)
