/* SPDX-License-Identifier: MIT */
/*
 * shunt/scaling.c - what more workers than there are CPUs cost, and what they
 * do: docs/scaling.md.
 *
 *     scaling/NAME/{1,2,4,8,16,64}w
 *
 * A program of its own: no peer has these rows, and what they say is in the
 * counts beside the time. All counts are of the rounds that are measured, and
 * of one unit: a fork, a node, a task, a step.
 */
#include <stdio.h>

#include "measure.h"
#include "shunt/cases.h"
#include "shunt/scaling.h"
#include "workload.h"

int bench_mode = SHUNT_THREADS;

enum {
    ROUNDS_MAX = 200
};

static const int64_t enough_ns = 400000000;

struct scaling_case {
    const struct bench_fork_row *row;
    int workers;
};

/* What has been used so far. */
struct used {
    shunt_pool_stats stats;
    int64_t cpu_ns;
    uint64_t switches;
};

static int use(struct used *out)
{
    unsigned threads;

    out->cpu_ns = bench_cpu_ns();
    return shunt_stats(bench_fork_pool(), &out->stats, NULL, 0) |
           bench_switches_count(&out->switches, &threads);
}

/* Nanoseconds of one round, or -1. */
static int64_t one_round(const struct bench_fork_row *row)
{
    if (row->renew != NULL)
        row->renew();
    int64_t begin = bench_now_ns();
    int rc = row->round(&bench_fork_shunt);
    int64_t end = bench_now_ns();
    return rc == 0 && row->right() ? end - begin : -1;
}

/* As many rounds as take enough_ns, and three at least: how many, and the
 * median of their times; 0: one has failed. */
static size_t all_rounds(const struct bench_fork_row *row, double *median_out)
{
    int64_t spent = 0, last = 0;
    double ns[ROUNDS_MAX];
    size_t n = 0;

    while (last >= 0 && n < ROUNDS_MAX &&
           (n < 3 || spent < (int64_t)bench_scaled((size_t)enough_ns))) {
        last = one_round(row);
        spent += last;
        ns[n++] = (double)last;
    }
    *median_out = bench_quantile(ns, n, 0.5);
    return last >= 0 ? n : 0;
}

static void say(gbench_state *state, const struct used *a, const struct used *b,
                double units)
{
    const struct {
        const char *name;
        uint64_t before, after;
    } counts[] = {
        { "run", a->stats.run, b->stats.run },
        { "stolen", a->stats.stolen, b->stats.stolen },
        { "searched", a->stats.searched, b->stats.searched },
        { "missed", a->stats.missed, b->stats.missed },
        { "lost", a->stats.lost, b->stats.lost },
        { "calls", a->stats.calls, b->stats.calls },
        { "offered", a->stats.offered, b->stats.offered },
        { "parked", a->stats.parked, b->stats.parked },
        { "slept", a->stats.slept, b->stats.slept },
        { "woken", a->stats.woken, b->stats.woken },
        { "vain", a->stats.vain, b->stats.vain },
        { "switches", a->switches, b->switches },
    };

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        gbench_counter_set(state, counts[i].name,
                           (double)(counts[i].after - counts[i].before) /
                               units);
    gbench_counter_set(state, "cpu_ns",
                       (double)(b->cpu_ns - a->cpu_ns) / units);
}

static void scaling_run(gbench_state *state, const void *arg)
{
    const struct scaling_case *c = arg;
    double units = c->row->setup(), median = 0.0;
    struct used before, after;
    size_t rounds = 0;

    if (units <= 0.0 || bench_fork_shunt.open(c->workers) != 0) {
        gbench_fail(state, "open failed, or there is too little memory");
        return;
    }
    while (gbench_next(state)) {
        /* The first one starts threads and touches memory. */
        int rc = one_round(c->row) < 0 ? -1 : use(&before);

        rounds = rc == 0 ? all_rounds(c->row, &median) : 0;
        gbench_time_add(state, (int64_t)median);
    }
    if (rounds != 0 && use(&after) == 0)
        say(state, &before, &after, units * (double)rounds);
    else
        gbench_fail(state, "it failed, or the result is wrong");
    bench_fork_shunt.close();
    if (c->row->teardown != NULL)
        c->row->teardown();
    gbench_counter_set(state, "ns", median / units);
    gbench_counter_set(state, "units", units);
}

static void rows_register(void)
{
    static const struct bench_fork_row *const rows[] = {
        &bench_fork_fib,     &bench_fork_skynet,    &bench_fork_uts_t1,
        &bench_scaling_tree, &bench_scaling_window, &bench_scaling_submit,
        &bench_scaling_for,
    };
    static const int workers[] = { 1, 2, 4, 8, 16, 64 };
    static struct scaling_case cases[7 * 6];
    char name[64];
    size_t n = 0;

    bench_scaling_costs_register();
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
        for (size_t w = 0; w < sizeof(workers) / sizeof(workers[0]); w++) {
            if (rows[r] == &bench_fork_uts_t1 && !bench_uts_hashes())
                continue;
            cases[n] = (struct scaling_case){ rows[r], workers[w] };
            snprintf(name, sizeof(name), "scaling/%s/%dw", rows[r]->name,
                     workers[w]);
            gbench_register(name, scaling_run, &cases[n++], 1);
        }
}

int main(int argc, char **argv)
{
    static const struct bench_system none;

    return bench_main(argc, argv, &none, rows_register);
}
