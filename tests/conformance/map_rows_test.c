/* SPDX-License-Identifier: MIT */
/*
 * map_rows_test.c - the rows about map of ExecutorTest in the list that follows
 * CPython's test_concurrent_futures.
 *
 *   row                                   when   why not here
 *   map_buffersize                        now    lazy_rows_test.c: shunt_map is
 *                                                not lazy, a lookahead is
 *   map_chunksize                         now    of processes, in
 *                                                process_rows_test.c
 *   map_submits_without_iteration         now    in executor_rows_test.c, and
 *   executor_map_current_future_cancel    now    so is this
 */
#include <errno.h>

#include "../api/stage.h"

static int power(const long *in, long *out)
{
    *out = *in * *in;
    return 0;
}
SHUNT_TASK(power, long, long)

/* map */
static void map_keeps_the_order(void)
{
    enum {
        N = 1000
    };
    static long ins[N];
    shunt_pool *pool = harness_pool(2);

    for (long i = 0; i < N; i++)
        ins[i] = N - i;
    shunt_future *f = shunt_map(pool, power, ins, N);
    assert_settles(f, 0);
    const shunt_results *results = shunt_peek(f, shunt_results);
    for (long i = 0; i < N; i++)
        assert_long(*shunt_peek(results->futures[i], long), (N - i) * (N - i));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static int divide(const long *in, long *out)
{
    if (*in == 0)
        return shunt_fail(EDOM, "division by zero");
    *out = 100 / *in;
    return 0;
}
SHUNT_TASK(divide, long, long)

/* map_exception */
static void a_failing_element_fails_in_its_place(void)
{
    static const long ins[] = { 1, 2, 5, 0, 4 };
    shunt_pool *pool = harness_pool(1);

    shunt_future *f = shunt_map_settled(pool, divide, ins, 5);
    assert_settles(f, 0);
    const shunt_results *results = shunt_peek(f, shunt_results);
    for (int i = 0; i < 5; i++) {
        if (ins[i] == 0)
            assert_fails_with(results->futures[i], EDOM);
        else
            assert_long(*shunt_peek(results->futures[i], long), 100 / ins[i]);
    }
    assert_ok(shunt_release(f));
    f = shunt_map(pool, divide, ins, 5);
    assert_fails_with(f, EDOM);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* map_timeout: a map that is not done in time fails, and what has not started
 * never does. Method: the first element keeps the only worker. */
static void a_map_that_is_not_done_in_time_fails(void)
{
    static const int64_t times[] = { 0, 5 };

    for (int i = 0; i < 2; i++) {
        shunt_pool *pool = stage_manual_pool(1, -1);
        struct job job = { .started = stage_latch(),
                           .go = stage_latch(),
                           .ran = stage_tally() };
        struct job ins[5] = { job, job, job, job, job };
        shunt_future *f = shunt_map(pool, stage_job, ins, 5);
        assert_true(latch_reaches(job.started, 1));
        f = shunt_timeout(f, times[i]);
        stage_advance(pool, 5);
        assert_joins(f, SHUNT_ETIMEDOUT);
        latch_raise(job.go);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(job.ran), 1);
        harness_free(pool);
    }
}

struct bounded_map {
    struct job jobs[3];
    shunt_future **map;
    struct latch *made, *go;
};

static int map_under_a_deadline(const struct bounded_map *in, shunt_none *out)
{
    (void)out;
    *in->map = shunt_map_settled(NULL, stage_job, in->jobs, 3);
    latch_raise(in->made);
    return latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(map_under_a_deadline, struct bounded_map, shunt_none)

/* map_timeout: early results, then in its place what was too late. Method: the
 * only worker runs the elements in their order, and the last one for long. */
static void a_map_has_early_results_and_says_which_came_too_late(void)
{
    shunt_pool *pool = stage_manual_pool(1, -1);
    struct job slow = { .started = stage_latch(), .go = stage_latch() };
    struct bounded_map in = { { { .value = 1 }, { .value = 2 }, slow },
                              stage_bytes(sizeof(shunt_future *)),
                              stage_latch(),
                              stage_latch() };
    shunt_future *f =
        shunt_submit_with(pool, map_under_a_deadline, &in, .deadline_ns = 5);
    shunt_future *map;

    assert_true(latch_reaches(in.made, 1));
    map = shunt_retain(*in.map);
    latch_raise(in.go);
    assert_joins(f, 0);
    assert_true(latch_reaches(slow.started, 1));
    assert_status(shunt_status(map), SHUNT_PENDING);
    stage_advance(pool, 5);
    assert_settles(map, 0);
    const shunt_results *results = shunt_peek(map, shunt_results);
    for (int i = 0; i < 2; i++)
        assert_long(*shunt_peek(results->futures[i], long), i + 1);
    assert_status(shunt_status(results->futures[2]), SHUNT_ETIMEDOUT);
    latch_raise(slow.go);
    assert_ok(shunt_release(map));
    harness_free(pool);
}

/* map_timeout: a wait that runs out is no failure */
static void a_wait_for_a_map_runs_out_and_leaves_it_going(void)
{
    shunt_pool *pool = harness_pool(1);
    struct latch *go = stage_latch();
    struct job ins[3] = { { .value = 1 },
                          { .value = 2 },
                          { .value = 3, .go = go } };

    shunt_future *f = shunt_map(pool, stage_job, ins, 3);
    assert_status(shunt_await_for(f, 0), SHUNT_PENDING);
    assert_status(shunt_await_for(f, SHUNT_MS(2)), SHUNT_PENDING);
    latch_raise(go);
    assert_joins(f, 0);
    harness_free(pool);
}

/* shutdown_race_issue12456 */
static void a_map_and_an_immediate_shutdown_both_end(void)
{
    enum {
        N = 100
    };
    long ins[N];

    for (long i = 0; i < N; i++)
        ins[i] = i;
    for (int round = 0; round < 50; round++) {
        shunt_pool *pool = harness_pool(2);
        shunt_future *f = shunt_map(pool, power, ins, N);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_joins(f, 0);
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(map_keeps_the_order),
    CLAIM(a_failing_element_fails_in_its_place),
    CLAIM(a_map_that_is_not_done_in_time_fails),
    CLAIM(a_map_has_early_results_and_says_which_came_too_late),
    CLAIM(a_wait_for_a_map_runs_out_and_leaves_it_going),
    CLAIM(a_map_and_an_immediate_shutdown_both_end),
};

HARNESS_MAIN(claims)
