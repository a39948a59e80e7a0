/* SPDX-License-Identifier: MIT */
/*
 * fork/rows.c - how the fork-join rows are measured.
 *
 * A process makes the input and runs rounds on it for 0.2 s, of which the
 * figure is the median. The first round starts threads and touches stacks and
 * does not count, unless it alone takes so long that this is nothing: never where
 * the input is shared, since each process then meets each page for the first time.
 */
#include "fork/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding/gbench.h"
#include "measure.h"
#include "workload.h"

enum {
    ROUNDS_MAX = 15,
    ROWS_MAX = 16
};

static const int64_t long_ns = 2000000000;

struct fork_case {
    const struct bench_fork_row *row;
    int workers;
};

static const struct bench_fork *sys; /* NULL: of bench-scaling */

void *bench_fork_memory_new(size_t bytes)
{
    void *memory;

    if (sys == NULL || sys->memory_new == NULL)
        return bench_pages_new(bytes);
    memory = sys->memory_new(bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

void bench_fork_memory_free(void *memory)
{
    if (sys == NULL || sys->memory_free == NULL)
        free(memory);
    else if (memory != NULL)
        sys->memory_free(memory);
}

/* Nanoseconds of one round, or -1. */
static int64_t one_round(const struct bench_fork_row *row)
{
    if (row->renew != NULL)
        row->renew();
    int64_t begin = bench_now_ns();
    int rc = row->round(sys);
    int64_t end = bench_now_ns();
    return rc == 0 && row->right() ? end - begin : -1;
}

/* The nanoseconds of each round that counts, and how many these are; 0: one
 * has failed. */
static size_t all_rounds(const struct bench_fork_row *row, double *ns)
{
    int64_t enough_ns = (int64_t)bench_scaled(200000000);
    int64_t last = one_round(row), spent = 0;
    size_t n = 0;

    if (last > long_ns && sys->memory_new == NULL)
        ns[n++] = (double)last;
    while (last >= 0 && (n == 0 || last <= long_ns) && spent < enough_ns &&
           n < ROUNDS_MAX) {
        last = one_round(row);
        spent += last;
        ns[n++] = (double)last;
    }
    return last >= 0 ? n : 0;
}

static void fork_run(gbench_state *state, const void *arg)
{
    const struct fork_case *c = arg;
    double units, ns[ROUNDS_MAX], median = 0.0;

    if (sys->open(c->workers) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    units = c->row->setup();
    while (gbench_next(state)) {
        size_t n = units > 0.0 ? all_rounds(c->row, ns) : 0;

        median = n != 0 ? bench_quantile(ns, n, 0.5) : -1.0;
        gbench_time_add(state, (int64_t)median);
    }
    if (c->row->teardown != NULL)
        c->row->teardown();
    sys->close();
    if (median < 0.0)
        gbench_fail(state, "it failed, or the result is wrong");
    gbench_counter_set(state, c->row->counter, median / units);
}

static void add(const struct bench_fork_row *row)
{
    static struct fork_case cases[2 * ROWS_MAX];
    static size_t n;
    char name[64];

    for (int workers = 1; workers <= 2 && n < 2 * ROWS_MAX; workers++) {
        cases[n] = (struct fork_case){ row, workers };
        snprintf(name, sizeof(name), "%s/%dw", row->name, workers);
        gbench_register(name, fork_run, &cases[n++], 1);
    }
}

void bench_fork_register(const struct bench_fork *system)
{
    sys = system;
    if (sys->fib != NULL)
        add(&bench_fork_fib);
    if (sys->tree != NULL)
        add(&bench_fork_tree);
    if (sys->nqueens != NULL)
        add(&bench_fork_nqueens);
    if (sys->skynet != NULL)
        add(&bench_fork_skynet);
    if (sys->uts != NULL && bench_uts_hashes()) {
        add(&bench_fork_uts_t1);
        add(&bench_fork_uts_t3l);
    }
    if (sys->matmul != NULL)
        add(&bench_fork_matmul);
    if (sys->strassen != NULL)
        add(&bench_fork_strassen);
    if (sys->sort != NULL)
        add(&bench_fork_sort);
    if (sys->knapsack != NULL)
        add(&bench_fork_knapsack);
    if (sys->loop_short != NULL)
        add(&bench_fork_loop_short);
    if (sys->loop_uneven != NULL)
        add(&bench_fork_loop_uneven);
}

static void rows_register(void)
{
    bench_fork_register(sys);
}

int bench_fork_main(int argc, char **argv, const struct bench_fork *system)
{
    static const struct bench_system none;

    sys = system;
    bench_stack_enlarge(argv, BENCH_STACK);
    return bench_main(argc, argv, &none, rows_register);
}
