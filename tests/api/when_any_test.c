/* SPDX-License-Identifier: MIT */
/*
 * when_any_test.c - when_any, race and when_some against the table of inputs,
 * and what only they promise.
 */
#include "inputs.h"

static void assert_winner(const struct inputs *inputs, shunt_future *made,
                          size_t expected)
{
    const shunt_winner *winner = shunt_peek(made, shunt_winner);

    assert_non_null(winner);
    if (order_is_known(inputs))
        assert_long((long long)winner->index, (long long)expected);
    assert_true(winner->index < inputs->n);
    assert_true(fate_of(inputs, winner->index) == SUCCEEDS);
    assert_is_input(inputs, winner->future, winner->index);
}

/* ---- when_any ---- */

static shunt_future *any_of(const struct inputs *inputs)
{
    return shunt_when_any(inputs->futures, inputs->n);
}

static void check_any(const struct inputs *inputs, shunt_future *made)
{
    int status = harness_await(made);

    if (inputs->n == 0) {
        assert_joins(made, SHUNT_EINVAL);
        return;
    }
    if (good_among(inputs) > 0) {
        assert_ok(status);
        assert_winner(inputs, made, nth_seen(inputs, 0, true));
        assert_ok(shunt_release(made));
        return;
    }
    assert_status(status, status_of(inputs, 0));
    assert_null(shunt_peek(made, shunt_winner));
    const shunt_error *error = shunt_error_of(made);
    assert_long((long long)error->cause_count, (long long)inputs->n);
    for (size_t i = 0; i < inputs->n; i++) {
        assert_status(error->causes[i]->code, status_of(inputs, i));
        if (fate_of(inputs, i) == FAILS)
            assert_long(error->causes[i]->task_code, INPUT_CODE + (int)i);
    }
    assert_joins(made, status);
}

static void when_any_gives_the_first_success_or_every_failure(void)
{
    for_every_row(any_of, check_any);
}

/* ---- race ---- */

static shunt_future *race_of(const struct inputs *inputs)
{
    return shunt_race(inputs->futures, inputs->n);
}

static void check_race(const struct inputs *inputs, shunt_future *made)
{
    int status = harness_await(made);

    if (inputs->n == 0) {
        assert_joins(made, SHUNT_EINVAL);
        return;
    }
    size_t first = inputs->timing == SETTLED_BEFORE ? 0 : inputs->order[0];
    if (order_is_known(inputs)) {
        assert_status(status, status_of(inputs, first));
        if (fate_of(inputs, first) == FAILS)
            assert_fails_with(made, INPUT_CODE + (int)first);
    }
    if (status == 0)
        assert_winner(inputs, made, first);
    else
        assert_null(shunt_peek(made, shunt_winner));
    if (good_among(inputs) == inputs->n)
        assert_ok(status);
    assert_joins(made, status);
}

static void race_ends_as_the_first_input_to_settle(void)
{
    for_every_row(race_of, check_race);
}

/* ---- when_some ---- */

static size_t half_of(const struct inputs *inputs)
{
    return (inputs->n + 1) / 2;
}

static shunt_future *one_of(const struct inputs *inputs)
{
    return shunt_when_some(inputs->futures, inputs->n, 1);
}

static shunt_future *some_of(const struct inputs *inputs)
{
    return shunt_when_some(inputs->futures, inputs->n, half_of(inputs));
}

static shunt_future *each_of(const struct inputs *inputs)
{
    return shunt_when_some(inputs->futures, inputs->n, inputs->n);
}

/* Whether the j-th of those that the combinator saw, for some j < count, is
 * input i. */
static bool is_among_seen(const struct inputs *inputs, size_t i, size_t count,
                          bool good)
{
    size_t seen = 0;

    for (size_t j = 0; j < inputs->n && seen < count; j++) {
        size_t input = inputs->timing == SETTLED_BEFORE ? j : inputs->order[j];
        if ((fate_of(inputs, input) == SUCCEEDS) != good)
            continue;
        if (input == i)
            return true;
        seen++;
    }
    return false;
}

static void assert_some(const struct inputs *inputs, shunt_future *made,
                        size_t k)
{
    const shunt_results *results = shunt_peek(made, shunt_results);

    assert_non_null(results);
    assert_long((long long)results->count, (long long)k);
    assert_non_null(results->indices);
    for (size_t j = 0; j < k; j++) {
        size_t index = results->indices[j];
        assert_true(j == 0 || results->indices[j - 1] < index);
        assert_true(fate_of(inputs, index) == SUCCEEDS);
        assert_is_input(inputs, results->futures[j], index);
    }
}

/* Not for the largest rows, where the search is slow. */
static void assert_first_ones(const struct inputs *inputs, shunt_future *made,
                              size_t k)
{
    const shunt_results *results = shunt_peek(made, shunt_results);

    for (size_t j = 0; j < k; j++)
        assert_true(is_among_seen(inputs, results->indices[j], k, true));
}

static void assert_too_few(const struct inputs *inputs, shunt_future *made,
                           size_t k)
{
    const shunt_error *error = shunt_error_of(made);
    size_t enough = inputs->n - k + 1, previous = 0;

    assert_null(shunt_peek(made, shunt_results));
    assert_true(error->cause_count >= enough);
    if (inputs->timing == SETTLED_AFTER)
        assert_long((long long)error->cause_count, (long long)enough);
    assert_status(error->code, error->causes[0]->code);
    assert_long(error->task_code, error->causes[0]->task_code);
    for (size_t j = 0; j < error->cause_count; j++) {
        if (error->causes[j]->code == SHUNT_ECANCELED)
            continue;
        size_t index = (size_t)(error->causes[j]->task_code - INPUT_CODE);
        assert_true(index < inputs->n && fate_of(inputs, index) == FAILS);
        assert_true(j == 0 || previous < index);
        if (inputs->timing == SETTLED_AFTER && inputs->n < 1000)
            assert_true(is_among_seen(inputs, index, enough, false));
        previous = index;
    }
}

static void check_k(const struct inputs *inputs, shunt_future *made, size_t k)
{
    int status = harness_await(made);

    if (inputs->n == 0) {
        assert_joins(made, SHUNT_EINVAL);
        return;
    }
    if (good_among(inputs) >= k) {
        assert_ok(status);
        assert_some(inputs, made, k);
        if (order_is_known(inputs) && inputs->n < 1000)
            assert_first_ones(inputs, made, k);
    } else {
        assert_true(status < 0);
        assert_too_few(inputs, made, k);
    }
    assert_joins(made, status);
}

static void check_one(const struct inputs *inputs, shunt_future *made)
{
    check_k(inputs, made, 1);
}

static void check_some(const struct inputs *inputs, shunt_future *made)
{
    check_k(inputs, made, half_of(inputs));
}

static void check_each(const struct inputs *inputs, shunt_future *made)
{
    check_k(inputs, made, inputs->n);
}

static void when_some_of_one_gives_the_first_success(void)
{
    for_every_row(one_of, check_one);
}

static void when_some_of_half_gives_the_first_half_to_succeed(void)
{
    for_every_row(some_of, check_some);
}

static void when_some_of_all_needs_every_input(void)
{
    for_every_row(each_of, check_each);
}

static void when_some_needs_a_possible_number(void)
{
    shunt_pool *pool = harness_pool(1);

    for (size_t k = 0; k <= 5; k++) {
        shunt_future *fs[3];
        for (long i = 0; i < 3; i++)
            fs[i] = stage_given(pool, i);
        assert_joins(shunt_when_some(fs, 3, k),
                     k == 0 || k > 3 ? SHUNT_EINVAL : 0);
        for (int i = 0; i < 3; i++)
            assert_stale(fs[i]);
    }
    assert_joins(shunt_when_some(NULL, 0, 0), SHUNT_EINVAL);
    assert_joins(shunt_when_some(NULL, 0, 1), SHUNT_EINVAL);
    shunt_future *f = stage_given(pool, 1);
    assert_joins(shunt_when_some(&f, 1, SIZE_MAX), SHUNT_EINVAL);
    harness_free(pool);
}

/* ---- all of them ---- */

static void any_and_race_of_nothing_are_refused(void)
{
    assert_joins(shunt_when_any(NULL, 0), SHUNT_EINVAL);
    assert_joins(shunt_race(NULL, 0), SHUNT_EINVAL);
}

static void a_winner_cannot_be_taken(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = stage_given(pool, 1);
    shunt_winner winner;

    f = shunt_when_any(&f, 1);
    assert_status(shunt_take(f, &winner), SHUNT_EINVAL);
    assert_stale(f);
    harness_free(pool);
}

static int value_of_winner(const shunt_winner *in, long *out)
{
    const long *value = shunt_peek(in->future, long);

    *out = value != NULL ? *value : -1;
    return 0;
}
SHUNT_TASK(value_of_winner, shunt_winner, long)

static void a_continuation_can_read_the_winner(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 100; round++) {
        shunt_future *fs[3] = { stage_promise(pool).future,
                                stage_given(pool, 5),
                                stage_promise(pool).future };
        shunt_future *f = round % 2 == 0 ? shunt_race(fs, 3)
                                         : shunt_when_any(fs, 3);
        assert_takes(shunt_then(f, value_of_winner), 5);
    }
    harness_free(pool);
}

/* Method: tasks of one pool settle while the combinator is made; whoever
 * wins, it is an input and has its value. */
static void tasks_race_while_the_race_is_made(void)
{
    enum {
        INPUTS = 64,
        ROUNDS = 300
    };
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < ROUNDS; round++) {
        shunt_future *fs[INPUTS];
        for (long i = 0; i < INPUTS; i++)
            fs[i] = shunt_submit(pool, stage_same, &i);
        shunt_future *f = round % 2 == 0 ? shunt_race(fs, INPUTS)
                                         : shunt_when_any(fs, INPUTS);
        assert_settles(f, 0);
        const shunt_winner *winner = shunt_peek(f, shunt_winner);
        assert_non_null(winner);
        assert_true(winner->index < INPUTS);
        assert_long(*shunt_peek(winner->future, long), (long)winner->index);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

/* Goal: losers are unhooked at once, so that one long-lived future can lose
 * any number of races. The pool's memory is bounded: a leak of one edge a
 * race would exhaust it. */
static void a_future_may_lose_any_number_of_races(void)
{
    long rounds =
        (harness_million() ? 1000000 : 100000) / (long)harness_slowness();
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = 4 << 20 }));
    struct stage_promise stop = stage_promise(pool);
    for (long i = 0; i < rounds; i++) {
        shunt_future *fs[2] = { stage_given(pool, i),
                                shunt_retain(stop.future) };
        assert_non_null(fs[1]);
        shunt_future *f = i % 2 == 0 ? shunt_race(fs, 2)
                                     : shunt_when_any(fs, 2);
        assert_ok(shunt_join(f));
    }
    assert_status(shunt_status(stop.future), SHUNT_PENDING);
    stage_give(stop.promise, 1);
    assert_takes(stop.future, 1);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(when_any_gives_the_first_success_or_every_failure),
    CLAIM(race_ends_as_the_first_input_to_settle),
    CLAIM(when_some_of_one_gives_the_first_success),
    CLAIM(when_some_of_half_gives_the_first_half_to_succeed),
    CLAIM(when_some_of_all_needs_every_input),
    CLAIM(when_some_needs_a_possible_number),
    CLAIM(any_and_race_of_nothing_are_refused),
    CLAIM(a_winner_cannot_be_taken),
    CLAIM(a_continuation_can_read_the_winner),
    CLAIM(tasks_race_while_the_race_is_made),
    CLAIM(a_future_may_lose_any_number_of_races),
};

HARNESS_MAIN(claims)
