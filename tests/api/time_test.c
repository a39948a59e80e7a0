/* SPDX-License-Identifier: MIT */
/*
 * time_test.c - delays and timeouts: when they end, how, and what becomes of
 * what they bound.
 *
 * Method. The clock stands still but for stage_advance, so a moment is met to
 * the nanosecond and no time passes here. The clock itself, and waits that run
 * out, are in clock_test.c.
 */
#include <pthread.h>
#include <string.h>

#include "stage.h"

static const int64_t ahead[] = { 1, 1000, SHUNT_MS(10), SHUNT_S(1),
                                 SHUNT_S(1e9) };
enum {
    AHEAD = sizeof ahead / sizeof ahead[0]
};

/* ---- delays ---- */

static void a_delay_ends_at_its_moment_and_not_before(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < AHEAD; i++) {
        shunt_future *f = shunt_delay(pool, ahead[i]);
        shunt_none none;
        stage_advance(pool, ahead[i] - 1);
        assert_status(shunt_status(f), SHUNT_PENDING);
        assert_null(shunt_peek(f, shunt_none));
        stage_advance(pool, 1);
        assert_status(shunt_status(f), 0);
        assert_non_null(shunt_peek(f, shunt_none));
        assert_null(shunt_peek(f, long));
        assert_ok(shunt_take(f, &none));
        assert_stale(f);
    }
    harness_free(pool);
}

static void a_delay_of_nothing_or_less_has_ended(void)
{
    static const int64_t past[] = { 0, -1, -SHUNT_S(1), INT64_MIN };
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < 4; i++) {
        shunt_future *f = shunt_delay(pool, past[i]);
        assert_status(shunt_status(f), 0);
        assert_long(shunt_cancel(f), 0);
        assert_joins(f, 0);
    }
    harness_free(pool);
}

/* One moment before the end of time is a moment; beyond it there is none. */
static void a_delay_may_be_as_long_as_there_is_time_or_longer(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    shunt_future *last = shunt_delay(pool, SHUNT_FOREVER - 1);
    shunt_future *endless = shunt_delay(pool, SHUNT_FOREVER);
    shunt_future *longer;

    stage_advance(pool, 5);
    longer = shunt_delay(pool, SHUNT_FOREVER - 1);
    stage_advance(pool, SHUNT_FOREVER - 10);
    assert_status(shunt_status(last), SHUNT_PENDING);
    stage_advance(pool, SHUNT_FOREVER);
    assert_joins(last, 0);
    stage_advance(pool, SHUNT_FOREVER);
    assert_status(shunt_status(longer), SHUNT_PENDING);
    assert_status(shunt_status(endless), SHUNT_PENDING);
    assert_long(shunt_cancel(endless), 1);
    assert_joins(endless, SHUNT_ECANCELED);
    assert_long(shunt_cancel(longer), 1);
    assert_joins(longer, SHUNT_ECANCELED);
    harness_free(pool);
}

static void a_delay_that_is_cancelled_ends_at_once_and_for_good(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < 2000; i++) {
        shunt_future *f = shunt_delay(pool, 1 + i % 7);
        shunt_future *watched =
            i % 2 == 0 ? NULL : shunt_then(shunt_retain(f), stage_nothing);
        assert_long(shunt_cancel(f), 1);
        assert_status(shunt_status(f), SHUNT_ECANCELED);
        assert_long(shunt_cancel(f), 0);
        if (i % 3 == 0)
            stage_advance(pool, 10);
        assert_joins(f, SHUNT_ECANCELED);
        assert_true(shunt_cancel(f) < 0);
        if (watched != NULL)
            assert_joins(watched, SHUNT_ECANCELED);
    }
    harness_free(pool);
}

static void releasing_a_delay_does_not_cancel_it(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    shunt_future *f = shunt_delay(pool, 10), *step;

    step = shunt_then(shunt_retain(f), stage_nothing);
    assert_ok(shunt_release(f));
    assert_stale(f);
    assert_true(shunt_cancel(f) < 0);
    stage_advance(pool, 9);
    assert_status(shunt_status(step), SHUNT_PENDING);
    stage_advance(pool, 1);
    assert_joins(step, 0);
    harness_free(pool);
}

static void a_delay_needs_a_pool_that_takes_it(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    assert_joins(shunt_delay(NULL, 1), SHUNT_EINVAL);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_delay(pool, 1), SHUNT_ECLOSED);
    assert_joins(shunt_delay(pool, 0), SHUNT_ECLOSED);
    harness_free(pool);
    assert_joins(shunt_delay(pool, 1), SHUNT_EINVAL);
}

/* ---- delays as inputs ---- */

static void every_combinator_takes_delays(void)
{
    enum {
        N = 60
    };
    shunt_pool *pool = stage_manual_pool(1, 0);
    static shunt_future *(*const kinds[])(shunt_future *const *, size_t) = {
        shunt_when_all, shunt_when_all_settled, stage_some_all, shunt_when_any,
        shunt_race,     stage_some_one
    };

    for (int kind = 0; kind < 6; kind++) {
        bool all = kind < 3;
        size_t order[N];
        shunt_future *fs[N], *f;
        stage_shuffle(order, N);
        for (int i = 0; i < N; i++)
            fs[i] = shunt_delay(pool, 1 + (int64_t)order[i]);
        f = kinds[kind](fs, N);
        if (all) {
            stage_advance(pool, N - 1);
            assert_status(shunt_status(f), SHUNT_PENDING);
        }
        stage_advance(pool, 1);
        assert_settles(f, 0);
        if (kind == 3 || kind == 4)
            assert_long((long)order[shunt_peek(f, shunt_winner)->index], 0);
        else
            assert_long((long)shunt_peek(f, shunt_results)->count, all ? N : 1);
        assert_ok(shunt_release(f));
        /* The losers are gone: a drain would wait for them. */
    }
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    harness_free(pool);
}

/* ---- timeouts: what had settled, or settles in time ---- */

static const int64_t limits[] = {
    INT64_MIN, -1, 0, 1, SHUNT_S(1), SHUNT_FOREVER - 1, SHUNT_FOREVER
};
enum {
    LIMITS = sizeof limits / sizeof limits[0]
};

static void what_has_settled_passes_every_timeout(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < LIMITS; i++) {
        shunt_future *f = shunt_timeout(stage_given(pool, 4), limits[i]);
        assert_status(shunt_status(f), 0);
        assert_long(*shunt_peek(f, long), 4);
        assert_takes(f, 4);
        f = shunt_timeout(stage_failed(pool, 5), limits[i]);
        assert_fails_with(f, 5);
        assert_ok(shunt_release(f));
        assert_joins(shunt_timeout(stage_cancelled(pool), limits[i]),
                     SHUNT_ECANCELED);
        /* A submit that was refused, and no handle at all. */
        f = shunt_submit_with(pool, stage_same, &(long){ 1 },
                              .deadline_ns = -1);
        assert_joins(shunt_timeout(f, limits[i]), SHUNT_ETIMEDOUT);
        assert_joins(shunt_timeout(shunt_when_all(NULL, 0), limits[i]), 0);
    }
    harness_free(pool);
}

static void a_timeout_of_no_future_is_refused(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    shunt_future *gone = stage_given(pool, 1);
    shunt_future *consumed = stage_given(pool, 1);
    shunt_future *then = shunt_then(consumed, stage_same);

    assert_ok(shunt_release(gone));
    for (int i = 0; i < LIMITS; i++) {
        for (unsigned j = 0; j < STAGE_GARBAGE; j++)
            assert_joins(shunt_timeout(stage_garbage(j), limits[i]),
                         SHUNT_EINVAL);
        assert_joins(shunt_timeout(gone, limits[i]), SHUNT_EINVAL);
        assert_joins(shunt_timeout(consumed, limits[i]), SHUNT_EINVAL);
    }
    assert_takes(then, 1);
    shunt_future *of_pool = stage_given(pool, 1);
    harness_free(pool);
    assert_joins(shunt_timeout(of_pool, 1), SHUNT_EINVAL);
}

static void what_settles_in_time_passes_through(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < AHEAD; i++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *f = shunt_timeout(made.future, ahead[i]);
        assert_status(shunt_status(made.future), SHUNT_EINVAL);
        stage_advance(pool, ahead[i] - 1);
        assert_status(shunt_status(f), SHUNT_PENDING);
        stage_give(made.promise, 4);
        assert_status(shunt_status(f), 0);
        stage_advance(pool, 1);
        assert_takes(f, 4);
    }
    shunt_future *endless = shunt_timeout(stage_given(pool, 1), SHUNT_FOREVER);
    assert_takes(endless, 1);
    harness_free(pool);
}

/* ---- timeouts: what does not ---- */

static void hear(void *user)
{
    latch_raise(user);
}

struct heard {
    struct stage_promise made;
    struct latch *asked;
};

static struct heard listener(shunt_pool *pool)
{
    struct heard heard = { stage_promise(pool), stage_latch() };

    assert_ok(shunt_promise_on_cancel(heard.made.promise, hear, heard.asked));
    return heard;
}

static void what_does_not_settle_in_time_fails_and_is_asked(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < AHEAD; i++) {
        struct heard heard = listener(pool);
        shunt_future *f = shunt_timeout(heard.made.future, ahead[i]);
        stage_advance(pool, ahead[i] - 1);
        assert_status(shunt_status(f), SHUNT_PENDING);
        assert_long(latch_level(heard.asked), 0);
        stage_advance(pool, 1);
        assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
        assert_long(latch_level(heard.asked), 1);
        assert_ok(shunt_promise_drop(heard.made.promise));
        assert_joins(f, SHUNT_ETIMEDOUT);
    }
    harness_free(pool);
}

static void a_timeout_of_nothing_asks_whether_it_has_settled(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < 3; i++) {
        struct heard heard = listener(pool);
        shunt_future *f = shunt_timeout(heard.made.future, limits[i]);
        assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
        assert_long(latch_level(heard.asked), 1);
        assert_status(shunt_status(heard.made.future), SHUNT_EINVAL);
        assert_ok(shunt_promise_drop(heard.made.promise));
        assert_joins(f, SHUNT_ETIMEDOUT);
    }
    harness_free(pool);
}

/* Method: the only worker is held, so the task is queued. */
static void the_error_names_the_task_that_was_too_slow(void)
{
    for (int at_once = 0; at_once < 2; at_once++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct stage_hold hold = stage_hold(pool);
        struct tally *ran = stage_tally();
        shunt_future *f =
            shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
        f = shunt_timeout(f, at_once ? 0 : 10);
        stage_advance(pool, 10);
        assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
        const shunt_error *error = shunt_error_of(f);
        assert_long(error->code, SHUNT_ETIMEDOUT);
        assert_string_equal(error->task, "stage_job");
        assert_non_null(strstr(error->message, "stage_job"));
        assert_non_null(strstr(error->message, "in time"));
        assert_non_null(strstr(error->where, "time_test.c"));
        shunt_future *then = shunt_then(f, stage_same);
        assert_settles(then, SHUNT_ETIMEDOUT);
        assert_string_equal(shunt_error_of(then)->task, "stage_job");
        stage_let(hold);
        assert_joins(then, SHUNT_ETIMEDOUT);
        harness_free(pool);
        assert_long(tally_of(ran), 0);
    }
}

/* Method: a handle, or a step, is all that is left of it. */
static void what_others_want_is_not_asked(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < 6; i++) {
        struct heard heard = listener(pool);
        shunt_future *also = shunt_retain(heard.made.future);
        shunt_future *f;
        if (i % 2 == 1)
            also = shunt_then(also, stage_same);
        f = shunt_timeout(heard.made.future, i < 2 ? 10 : i < 4 ? 0 : 1);
        stage_advance(pool, 10);
        assert_joins(f, SHUNT_ETIMEDOUT);
        assert_long(latch_level(heard.asked), 0);
        stage_give(heard.made.promise, 6);
        assert_takes(also, 6);
    }
    harness_free(pool);
}

static void the_last_of_many_timeouts_asks(void)
{
    enum {
        N = 2000
    };
    static shunt_future *fs[N];
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct heard heard = listener(pool);
    size_t order[N];

    stage_shuffle(order, N);
    for (int i = 0; i < N; i++)
        fs[i] = shunt_timeout(shunt_retain(heard.made.future),
                              1 + (int64_t)order[i]);
    assert_ok(shunt_release(heard.made.future));
    stage_advance(pool, N - 1);
    assert_long(latch_level(heard.asked), 0);
    stage_advance(pool, 1);
    assert_long(latch_level(heard.asked), 1);
    assert_ok(shunt_promise_drop(heard.made.promise));
    for (int i = 0; i < N; i++)
        assert_joins(fs[i], SHUNT_ETIMEDOUT);
    harness_free(pool);
}

static void the_shorter_of_two_nested_timeouts_holds(void)
{
    for (int inner = 1; inner <= 3; inner++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct heard heard = listener(pool);
        shunt_future *f =
            shunt_timeout(shunt_timeout(heard.made.future, inner), 2);
        stage_advance(pool, 1);
        assert_status(shunt_status(f),
                      inner == 1 ? SHUNT_ETIMEDOUT : SHUNT_PENDING);
        assert_long(latch_level(heard.asked), inner == 1);
        stage_advance(pool, 1);
        assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
        stage_advance(pool, 1);
        assert_long(latch_level(heard.asked), 1);
        assert_ok(shunt_promise_drop(heard.made.promise));
        assert_joins(f, SHUNT_ETIMEDOUT);
        harness_free(pool);
    }
}

static void cancelling_a_timeout_asks_what_it_bounds(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct heard lost = listener(pool), kept = listener(pool);
    shunt_future *also = shunt_retain(kept.made.future);
    shunt_future *f = shunt_timeout(lost.made.future, 5);
    shunt_future *g = shunt_timeout(kept.made.future, 5);

    assert_long(shunt_cancel(f), 1);
    assert_long(shunt_cancel(g), 1);
    assert_joins(f, SHUNT_ECANCELED);
    assert_joins(g, SHUNT_ECANCELED);
    assert_long(latch_level(lost.asked), 1);
    stage_advance(pool, 10);
    assert_long(latch_level(kept.asked), 0);
    assert_ok(shunt_promise_drop(lost.made.promise));
    stage_give(kept.made.promise, 2);
    assert_takes(also, 2);
    harness_free(pool);
}

/* A timeout is a failure that can be mended, and not a cancellation. */
static void a_timeout_can_be_recovered_from(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    shunt_future *f =
        shunt_recover(shunt_timeout(stage_promise(pool).future, 5), stage_code);

    stage_advance(pool, 5);
    assert_takes(f, SHUNT_ETIMEDOUT);
    harness_free(pool);
}

/* Goal: time is that of the pool of what is bounded. */
static void each_pool_has_a_clock_of_its_own(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    shunt_pool *other = stage_manual_pool(1, 0);
    struct stage_promise made[3];
    shunt_future *f[3];

    for (int i = 0; i < 3; i++)
        made[i] = stage_promise(pool);
    f[0] = shunt_timeout(made[0].future, 10);
    f[1] = shunt_timeout(shunt_via(other, made[1].future), 10);
    f[2] = shunt_via(other, shunt_timeout(made[2].future, 10));
    stage_advance(other, 10);
    assert_status(shunt_status(f[0]), SHUNT_PENDING);
    assert_status(shunt_status(f[1]), SHUNT_ETIMEDOUT);
    assert_status(shunt_status(f[2]), SHUNT_PENDING);
    /* Nobody wanted it any more, also across the pools. */
    assert_status(shunt_promise_give(made[1].promise, &(long){ 1 }),
                  SHUNT_ECANCELED);
    stage_advance(pool, 10);
    assert_joins(f[0], SHUNT_ETIMEDOUT);
    assert_joins(f[1], SHUNT_ETIMEDOUT);
    assert_joins(f[2], SHUNT_ETIMEDOUT);
    shunt_future *both[2] = { shunt_delay(pool, 5), shunt_delay(other, 7) };
    f[0] = shunt_when_all(both, 2);
    stage_advance(pool, 7);
    assert_status(shunt_status(f[0]), SHUNT_PENDING);
    stage_advance(other, 7);
    assert_joins(f[0], 0);
    harness_free(pool);
    harness_free(other);
}

/* ---- races ---- */

/* Method: on a clock that goes, promises are kept at about the time that their
 * timeouts run out: a value, or a promise that nobody wants. */
static void a_promise_is_kept_in_time_or_not(void)
{
    shunt_pool *pool = harness_pool(1);
    long kept = 0, rounds = 5000 / (long)harness_slowness();

    for (long i = 0; i < rounds; i++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *f = shunt_timeout(made.future, 1 + i % 500 * 1000);
        int rc = SHUNT_PENDING;
        long value = 0;
        if (i % 4 != 0)
            rc = shunt_await_for(f, 1 + i % 300 * 1000);
        int given = shunt_promise_give(made.promise, &(long){ 9 });
        int status = shunt_take(f, &value);
        assert_true(rc == SHUNT_PENDING || rc == status);
        assert_true((status == 0 && given == 0 && value == 9) ||
                    (status == SHUNT_ETIMEDOUT &&
                     (given == 0 || given == SHUNT_ECANCELED)));
        kept += status == 0;
    }
    assert_true(kept <= rounds);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_delay_ends_at_its_moment_and_not_before),
    CLAIM(a_delay_of_nothing_or_less_has_ended),
    CLAIM(a_delay_may_be_as_long_as_there_is_time_or_longer),
    CLAIM(a_delay_that_is_cancelled_ends_at_once_and_for_good),
    CLAIM(releasing_a_delay_does_not_cancel_it),
    CLAIM(a_delay_needs_a_pool_that_takes_it),
    CLAIM(every_combinator_takes_delays),
    CLAIM(what_has_settled_passes_every_timeout),
    CLAIM(a_timeout_of_no_future_is_refused),
    CLAIM(what_settles_in_time_passes_through),
    CLAIM(what_does_not_settle_in_time_fails_and_is_asked),
    CLAIM(a_timeout_of_nothing_asks_whether_it_has_settled),
    CLAIM(the_error_names_the_task_that_was_too_slow),
    CLAIM(what_others_want_is_not_asked),
    CLAIM(the_last_of_many_timeouts_asks),
    CLAIM(the_shorter_of_two_nested_timeouts_holds),
    CLAIM(cancelling_a_timeout_asks_what_it_bounds),
    CLAIM(a_timeout_can_be_recovered_from),
    CLAIM(each_pool_has_a_clock_of_its_own),
    CLAIM(a_promise_is_kept_in_time_or_not),
};

HARNESS_MAIN(claims)
