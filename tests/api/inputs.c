/* SPDX-License-Identifier: MIT */
/*
 * inputs.c - makes and settles the rows of the table of inputs.
 */
#include "inputs.h"

#include <pthread.h>
#include <stdlib.h>

const size_t input_sizes[INPUT_SIZES] = { 0,  1,   2,   27,  28,
                                          29, 783, 784, 785, 4096 };

enum fate fate_of(const struct inputs *inputs, size_t i)
{
    switch (inputs->pattern) {
    case FIRST_BAD:
        return i == 0 ? FAILS : SUCCEEDS;
    case MIDDLE_BAD:
        return i == inputs->n / 2 ? FAILS : SUCCEEDS;
    case LAST_BAD:
        return i + 1 == inputs->n ? FAILS : SUCCEEDS;
    case ALL_BAD:
        return FAILS;
    case ODD_BAD:
        return i % 2 == 1 ? FAILS : SUCCEEDS;
    case MIDDLE_CANCELLED:
        return i == inputs->n / 2 ? IS_CANCELLED : SUCCEEDS;
    case ALL_CANCELLED:
        return IS_CANCELLED;
    case ALL_GOOD:
    case PATTERNS:
        break;
    }
    return SUCCEEDS;
}

int status_of(const struct inputs *inputs, size_t i)
{
    static const int statuses[] = { 0, SHUNT_EFAILED, SHUNT_ECANCELED };

    return statuses[fate_of(inputs, i)];
}

size_t good_among(const struct inputs *inputs)
{
    size_t good = 0;

    for (size_t i = 0; i < inputs->n; i++)
        good += fate_of(inputs, i) == SUCCEEDS;
    return good;
}

size_t nth_to_settle(const struct inputs *inputs, size_t j, bool good)
{
    for (size_t i = 0; i < inputs->n; i++) {
        size_t input = inputs->order[i];
        if ((fate_of(inputs, input) == SUCCEEDS) == good && j-- == 0)
            return input;
    }
    return inputs->n;
}

size_t nth_by_index(const struct inputs *inputs, size_t j, bool good)
{
    for (size_t i = 0; i < inputs->n; i++) {
        if ((fate_of(inputs, i) == SUCCEEDS) == good && j-- == 0)
            return i;
    }
    return inputs->n;
}

bool order_is_known(const struct inputs *inputs)
{
    return inputs->timing != SETTLED_DURING;
}

size_t nth_seen(const struct inputs *inputs, size_t j, bool good)
{
    return inputs->timing == SETTLED_BEFORE ? nth_by_index(inputs, j, good)
                                            : nth_to_settle(inputs, j, good);
}

void assert_is_input(const struct inputs *inputs, shunt_future *f, size_t i)
{
    assert_true(i < inputs->n);
    assert_status(shunt_status(f), status_of(inputs, i));
    const long *value = shunt_peek(f, long);
    if (fate_of(inputs, i) == SUCCEEDS) {
        assert_non_null(value);
        assert_long(*value, (long)i);
    } else {
        assert_null(value);
    }
    if (fate_of(inputs, i) == FAILS)
        assert_long(shunt_error_of(f)->task_code, INPUT_CODE + (int)i);
}

/* ---- rows ---- */

/* What is settled late may have been asked to cancel by the combinator. */
static bool settle_one(struct inputs *inputs, size_t i)
{
    shunt_promise *promise = inputs->promises[i];
    int rc = 0;

    switch (fate_of(inputs, i)) {
    case SUCCEEDS:
        rc = shunt_promise_give(promise, &(long){ (long)i });
        break;
    case FAILS:
        rc = shunt_promise_fail(promise, INPUT_CODE + (int)i, "input %zu", i);
        break;
    case IS_CANCELLED:
        rc = shunt_promise_drop(promise);
        break;
    }
    inputs->settled += rc == 0;
    return rc == 0 || rc == SHUNT_ECANCELED;
}

static void *settle_all(void *user)
{
    struct inputs *inputs = user;

    for (size_t i = 0; i < inputs->n; i++) {
        if (!settle_one(inputs, inputs->order[i]))
            return inputs;
    }
    return NULL;
}

static void make_inputs(struct inputs *inputs)
{
    size_t n = inputs->n;

    inputs->settled = 0;
    for (size_t i = 0; i < n; i++) {
        struct stage_promise made = stage_promise(inputs->pool);
        inputs->futures[i] = made.future;
        inputs->promises[i] = made.promise;
        inputs->order[i] = inputs->sequence == BACKWARD ? n - 1 - i : i;
    }
    if (inputs->sequence == SHUFFLED)
        stage_shuffle(inputs->order, n);
}

void run_row(struct inputs *inputs, combine_inputs *combine,
             check_inputs *check)
{
    pthread_t thread;
    void *wrong = NULL;
    shunt_future *made = NULL;

    harness_note("%zu inputs, pattern %d, timing %d, sequence %d", inputs->n,
                 (int)inputs->pattern, (int)inputs->timing,
                 (int)inputs->sequence);
    make_inputs(inputs);
    if (inputs->timing == SETTLED_BEFORE)
        wrong = settle_all(inputs);
    if (inputs->timing == SETTLED_DURING)
        assert_int_equal(pthread_create(&thread, NULL, settle_all, inputs), 0);
    made = combine(inputs);
    if (inputs->timing == SETTLED_DURING)
        pthread_join(thread, &wrong);
    if (inputs->timing == SETTLED_AFTER) {
        if (inputs->n > 0)
            assert_status(shunt_status(made), SHUNT_PENDING);
        wrong = settle_all(inputs);
    }
    assert_null(wrong);
    assert_non_null(made);
    for (size_t i = 0; i < inputs->n; i++)
        assert_status(shunt_status(inputs->futures[i]), SHUNT_EINVAL);
    check(inputs, made);
    /* What was made of nothing has no record, so its handle is always good. */
    if (inputs->n > 0)
        assert_stale(made);
}

static void run_rows_of_size(shunt_pool *pool, size_t n,
                             combine_inputs *combine, check_inputs *check)
{
    struct inputs inputs = { .pool = pool, .n = n };

    inputs.futures = calloc(n + 1, sizeof(*inputs.futures));
    inputs.promises = calloc(n + 1, sizeof(*inputs.promises));
    inputs.order = calloc(n + 1, sizeof(*inputs.order));
    for (int pattern = 0; pattern < PATTERNS; pattern++) {
        for (int timing = 0; timing < TIMINGS; timing++) {
            for (int sequence = 0; sequence < SEQUENCES; sequence++) {
                /* Where many take long, one order will do. */
                if (n > 100 && harness_slowness() > 1 && sequence != SHUFFLED)
                    continue;
                inputs.pattern = (enum pattern)pattern;
                inputs.timing = (enum timing)timing;
                inputs.sequence = (enum sequence)sequence;
                run_row(&inputs, combine, check);
            }
        }
    }
    free(inputs.futures);
    free(inputs.promises);
    free(inputs.order);
}

void for_every_row(combine_inputs *combine, check_inputs *check)
{
    shunt_pool *pool = harness_pool(1);
    unsigned slowness = harness_slowness();
    size_t n_max = slowness > 10 ? 29 : slowness > 1 ? 785 : 4096;

    harness_limit(120);
    harness_footprint((size_t)32 << 20);
    for (int i = 0; i < INPUT_SIZES; i++) {
        if (input_sizes[i] <= n_max)
            run_rows_of_size(pool, input_sizes[i], combine, check);
    }
    harness_free(pool);
}
