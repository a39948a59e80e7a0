/* SPDX-License-Identifier: MIT */
/*
 * shunt/scaling_rows.c - tree, window, submit, for: what is no recursion of
 * forks, in the form of these rows.
 */
#include "shunt/scaling.h"

#include <stdlib.h>

#include "measure.h"
#include "shunt/cases.h"
#include "workload.h"

enum {
    TREE_LEAVES = 100000,
    SUBMITS = 1000000,
    WINDOW = 1024,
    STEPS = 1000000,
    UNEVEN = 100
};

/* Of the round that was run last. */
static uint64_t result;

/* -- tree -- */

struct part {
    uint64_t first, leaves;
};

static int add_leaves(const struct part *in, uint64_t *sum_out);
SHUNT_TASK(add_leaves, struct part, uint64_t)

static int add_leaves(const struct part *in, uint64_t *sum_out)
{
    shunt_future *children[10];
    uint64_t part = in->leaves / 10, sum = 0;
    int rc = 0;

    if (in->leaves == 1) {
        *sum_out = in->first;
        return 0;
    }
    for (uint64_t i = 0; i < 10; i++)
        children[i] = shunt_submit(
            NULL, add_leaves, &(struct part){ in->first + i * part, part });
    for (uint64_t i = 0; i < 10; i++) {
        rc |= shunt_take(children[i], &sum);
        *sum_out += sum;
    }
    return rc == 0 ? 0 : 1;
}

static uint64_t leaves;

static double tree_setup(void)
{
    uint64_t tasks = 11;

    for (leaves = 10; leaves * 10 <= bench_scaled(TREE_LEAVES); tasks += leaves)
        leaves *= 10;
    return (double)tasks;
}

static int tree_round(const struct bench_fork *system)
{
    struct part root = { 0, leaves };

    (void)system;
    return shunt_take(shunt_submit(bench_fork_pool(), add_leaves, &root),
                      &result);
}

static bool tree_is_right(void)
{
    return result == leaves * (leaves - 1) / 2;
}

const struct bench_fork_row bench_scaling_tree = {
    .name = "tree",
    .counter = "ns",
    .setup = tree_setup,
    .round = tree_round,
    .right = tree_is_right,
};

/* -- window, submit -- */

static shunt_future **futures;
static size_t tasks;

static int add_one(const uint64_t *in, uint64_t *out)
{
    *out = *in + 1;
    return 0;
}
SHUNT_TASK(add_one, uint64_t, uint64_t)

static double submit_setup(void)
{
    tasks = bench_scaled(SUBMITS);
    futures = bench_pages_new(tasks * sizeof(shunt_future *));
    return futures != NULL ? (double)tasks : 0.0;
}

/* All, so many at a time. */
static int submit_by(size_t window)
{
    uint64_t out = 0;
    int rc = 0;

    result = 0;
    for (size_t first = 0; first < tasks; first += window) {
        size_t n = tasks - first < window ? tasks - first : window;

        for (uint64_t i = 0; i < n; i++)
            futures[i] = shunt_submit(bench_fork_pool(), add_one,
                                      &(uint64_t){ first + i });
        for (uint64_t i = 0; i < n; i++) {
            rc |= shunt_take(futures[i], &out);
            result += out;
        }
    }
    return rc;
}

static int window_round(const struct bench_fork *system)
{
    (void)system;
    return submit_by(WINDOW);
}

static int submit_round(const struct bench_fork *system)
{
    (void)system;
    return submit_by(tasks);
}

static bool submit_is_right(void)
{
    return result == (uint64_t)tasks * (tasks + 1) / 2;
}

static void submit_teardown(void)
{
    free(futures);
    futures = NULL;
}

const struct bench_fork_row bench_scaling_window = {
    .name = "window",
    .counter = "ns",
    .setup = submit_setup,
    .round = window_round,
    .right = submit_is_right,
    .teardown = submit_teardown,
};

const struct bench_fork_row bench_scaling_submit = {
    .name = "submit",
    .counter = "ns",
    .setup = submit_setup,
    .round = submit_round,
    .right = submit_is_right,
    .teardown = submit_teardown,
};

/* -- for -- */

static uint64_t *values;
static size_t steps;

/* Step i takes some i / n hundreds of the same short turn. */
static int turn(size_t from, size_t to, uint64_t *const *to_values)
{
    for (size_t i = from; i < to; i++) {
        uint64_t value = i, turns = (uint64_t)i * UNEVEN / steps + 1;

        for (uint64_t k = 0; k < turns; k++)
            value = value * 6364136223846793005u + 1;
        (*to_values)[i] = value;
    }
    return 0;
}

static double for_setup(void)
{
    steps = bench_scaled(STEPS);
    values = bench_pages_new(steps * sizeof(*values));
    return values != NULL ? (double)steps : 0.0;
}

static void for_renew(void)
{
    for (size_t i = 0; i < steps; i++)
        values[i] = 0;
}

static int for_round(const struct bench_fork *system)
{
    (void)system;
    return shunt_join(shunt_for(bench_fork_pool(), 0, steps, turn, &values));
}

/* Each step is odd then or even, as its number and its turns are. */
static bool for_is_right(void)
{
    bool right = true;

    for (size_t i = 0; i < steps; i++) {
        uint64_t turns = (uint64_t)i * UNEVEN / steps + 1;

        right &= values[i] % 2 == (i + turns) % 2;
    }
    return right;
}

static void for_teardown(void)
{
    free(values);
    values = NULL;
}

const struct bench_fork_row bench_scaling_for = {
    .name = "for",
    .counter = "ns",
    .setup = for_setup,
    .renew = for_renew,
    .round = for_round,
    .right = for_is_right,
    .teardown = for_teardown,
};
