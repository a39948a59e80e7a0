/* SPDX-License-Identifier: MIT */
/*
 * lazy_rows_test.c - the rows of map with a buffer size in the list that
 * follows CPython's test_concurrent_futures. A map that is lazy is a
 * lookahead: `ahead` is the buffersize, shunt_lookahead_take is the iterator's
 * next.
 *
 * Diverge: a failure does not end the sequence; what is behind it can be
 * taken. A timeout belongs to a wait and not to the whole.
 */
#include <errno.h>

#include "../api/stage.h"

struct numbers {
    long at, end;
    struct tally *made;
};

static int next_number(struct numbers *n, long *in)
{
    if (n->at == n->end)
        return 0;
    tally_add(n->made, 1);
    *in = n->at++;
    return 1;
}
SHUNT_SEQUENCE(next_number, struct numbers, long)

static struct numbers numbers(long end)
{
    return (struct numbers){ 0, end, stage_tally() };
}

/* map_buffersize: zero is rejected */
static void a_buffer_of_none_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    struct numbers n = numbers(4);
    shunt_lookahead *l = NULL;

    assert_status(
        shunt_lookahead_open(&l, pool, stage_same, next_number, &n, 0),
        SHUNT_EINVAL);
    assert_null(l);
    assert_long(tally_of(n.made), 0);
    harness_free(pool);
}

/* map_buffersize, on an infinite sequence: at most so many are ahead, and one
 * more is submitted for each that is consumed. */
static void a_buffer_bounds_what_is_ahead_of_an_endless_sequence(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long ahead = 1; ahead <= 5; ahead++) {
        struct numbers n = numbers(-1);
        shunt_lookahead *l = NULL;

        assert_ok(shunt_lookahead_open(&l, pool, stage_same, next_number, &n,
                                       (size_t)ahead));
        for (long i = 0; i < 100; i++) {
            long value = -1;

            assert_long(tally_of(n.made), i + ahead);
            assert_ok(shunt_lookahead_take(l, &value));
            assert_long(value, i);
        }
        assert_ok(shunt_lookahead_close(l));
    }
    harness_free(pool);
}

/* map_buffersize: more than there are elements, and no elements */
static void a_buffer_may_be_larger_than_the_sequence(void)
{
    shunt_pool *pool = harness_pool(1);

    for (long count = 0; count < 4; count++) {
        struct numbers n = numbers(count);
        shunt_lookahead *l = NULL;
        long value;

        assert_ok(
            shunt_lookahead_open(&l, pool, stage_same, next_number, &n, 100));
        assert_long(tally_of(n.made), count);
        for (long i = 0; i < count; i++) {
            assert_ok(shunt_lookahead_take(l, &value));
            assert_long(value, i);
        }
        assert_long((long)shunt_lookahead_size(l), 0);
        assert_ok(shunt_lookahead_close(l));
    }
    harness_free(pool);
}

static int divide(const long *in, long *out)
{
    if (*in == 3)
        return shunt_fail(EDOM, "division by zero");
    *out = 12 / (3 - *in);
    return 0;
}
SHUNT_TASK(divide, long, long)

/* map_exception */
static void earlier_results_come_before_the_failure(void)
{
    static const long expected[] = { 4, 6, 12, 0, -12 };
    shunt_pool *pool = harness_pool(2);
    struct numbers n = numbers(5);
    shunt_lookahead *l = NULL;

    assert_ok(shunt_lookahead_open(&l, pool, divide, next_number, &n, 2));
    for (int i = 0; i < 5; i++) {
        long value = 0;
        int rc = shunt_lookahead_take(l, &value);

        assert_status(rc, i == 3 ? SHUNT_EFAILED : 0);
        assert_long(value, expected[i]);
        if (i == 3)
            assert_long(shunt_last_error()->task_code, EDOM);
    }
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

struct jobs {
    const struct job *job;
    long at, end;
};

static int next_job(struct jobs *j, struct job *in)
{
    if (j->at == j->end)
        return 0;
    *in = j->job[j->at++];
    return 1;
}
SHUNT_SEQUENCE(next_job, struct jobs, struct job)

/* map_timeout */
static void early_results_come_before_the_time_runs_out(void)
{
    shunt_pool *pool = harness_pool(1);
    struct latch *go = stage_latch();
    struct job job[3] = { { .value = 1 },
                          { .value = 2 },
                          { .value = 3, .go = go } };
    struct jobs jobs = { job, 0, 3 };
    shunt_lookahead *l = NULL;
    long value = 0;

    assert_ok(shunt_lookahead_open(&l, pool, stage_job, next_job, &jobs, 3));
    for (long i = 1; i < 3; i++) {
        assert_ok(shunt_lookahead_take_for(l, &value, harness_patience()));
        assert_long(value, i);
    }
    assert_status(shunt_lookahead_take_for(l, &value, SHUNT_MS(2)),
                  SHUNT_PENDING);
    latch_raise(go);
    assert_ok(shunt_lookahead_take(l, &value));
    assert_long(value, 3);
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

/* executor_map_current_future_cancel: the one for which somebody waits, and
 * those behind it */
static void a_lazy_map_that_is_given_up_starts_nothing_more(void)
{
    enum {
        N = 50
    };
    shunt_pool *pool = harness_pool(1);
    struct latch *go = stage_latch();
    struct tally *ran = stage_tally();
    struct job job[N];
    struct jobs jobs = { job, 0, N };
    shunt_lookahead *l = NULL;
    long value;

    for (int i = 0; i < N; i++)
        job[i] = (struct job){ .ran = ran, .go = go };
    assert_ok(shunt_lookahead_open(&l, pool, stage_job, next_job, &jobs, 10));
    assert_status(shunt_lookahead_take_for(l, &value, SHUNT_MS(1)),
                  SHUNT_PENDING);
    assert_ok(shunt_lookahead_close(l));
    latch_raise(go);
    harness_free(pool);
    assert_true(tally_of(ran) <= 1);
    assert_long(jobs.at, 10);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_buffer_of_none_is_refused),
    CLAIM(a_buffer_bounds_what_is_ahead_of_an_endless_sequence),
    CLAIM(a_buffer_may_be_larger_than_the_sequence),
    CLAIM(earlier_results_come_before_the_failure),
    CLAIM(early_results_come_before_the_time_runs_out),
    CLAIM(a_lazy_map_that_is_given_up_starts_nothing_more),
};

HARNESS_MAIN(claims)
