/* SPDX-License-Identifier: MIT */
/*
 * fork/loop.c - the rows of the loops.
 */
#include "fork/loop.h"

#include <string.h>

#include "fork/row.h"
#include "workload.h"

enum {
    SHORT_INDEXES = 1000000,
    UNEVEN_INDEXES = 20000
};

static struct bench_loop loop;
static uint64_t expected;

static double loop_setup(size_t n, uint32_t (*value)(size_t i))
{
    loop = (struct bench_loop){ .n = n };
    loop.out = bench_fork_memory_new(n * sizeof(*loop.out));
    if (loop.out == NULL)
        return 0.0;
    expected = 0;
    for (size_t i = 0; i < n; i++)
        expected += value(i);
    return (double)n;
}

static void loop_renew(void)
{
    memset(loop.out, 0, loop.n * sizeof(*loop.out));
}

static bool loop_is_right(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < loop.n; i++)
        sum += loop.out[i];
    return sum == expected;
}

static void loop_teardown(void)
{
    bench_fork_memory_free(loop.out);
    loop.out = NULL;
}

static double short_setup(void)
{
    return loop_setup(bench_scaled(SHORT_INDEXES), bench_loop_short);
}

static int short_round(const struct bench_fork *system)
{
    return system->loop_short(&loop);
}

const struct bench_fork_row bench_fork_loop_short = {
    .name = "loop/short",
    .counter = "ns",
    .setup = short_setup,
    .renew = loop_renew,
    .round = short_round,
    .right = loop_is_right,
    .teardown = loop_teardown,
};

/* Of n indexes an index takes n / 32 steps in the mean, so half as many have a
 * quarter of the work. */
static double uneven_setup(void)
{
    size_t n = UNEVEN_INDEXES, work = bench_scaled(UNEVEN_INDEXES);

    for (; work * 4 <= UNEVEN_INDEXES; work *= 4)
        n /= 2;
    return loop_setup(n, bench_loop_uneven);
}

static int uneven_round(const struct bench_fork *system)
{
    return system->loop_uneven(&loop);
}

const struct bench_fork_row bench_fork_loop_uneven = {
    .name = "loop/uneven",
    .counter = "ns",
    .setup = uneven_setup,
    .renew = loop_renew,
    .round = uneven_round,
    .right = loop_is_right,
    .teardown = loop_teardown,
};
