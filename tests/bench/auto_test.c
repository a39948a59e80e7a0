/* SPDX-License-Identifier: MIT */
/*
 * auto_test.c - the workloads of `./dev bench auto`: that they run, that their
 * results are right, and where they ran. How long they took is not looked at.
 *
 * Method. Each is measured as the benchmark does it, with a few tasks, in two
 * rounds; all results are checked on the way.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auto/auto.h"

enum {
    ROUNDS = 2,
    WAYS_BATCHES = ROUNDS + 1 /* and the first one, which is cold */
};

static struct auto_report report;

static void measure(enum auto_load_id load, double scale)
{
    const struct auto_options options = {
        .scale = scale,
        .rounds = ROUNDS,
        .warm_ns_max = 100000000,
        .quiet_ns = 50000000,
    };

    if (auto_measure(&auto_loads[load], &options, &report) != 0)
        fail_msg("%s: %s", auto_loads[load].name, report.why);
}

/* Of all kinds but those that only carry others. */
static uint64_t leaves(const uint64_t *counts)
{
    uint64_t sum = 0;

    for (int kind = 0; kind < AUTO_SUM; kind++)
        sum += counts[kind];
    return sum;
}

static void check_a_pure_one(enum auto_load_id load)
{
    measure(load, 0.05);

    uint64_t all = (uint64_t)report.tasks * WAYS_BATCHES;
    for (int way = 0; way < AUTO_WAYS; way++) {
        const struct auto_tally *t = &report.tally[way];

        if (!report.runs[way])
            continue;
        assert_true(report.whole[way]);
        for (int r = 0; r < ROUNDS; r++)
            assert_true(report.ns[way][r] > 0.0);
        if (auto_ways[way].mode == SHUNT_THREADS) {
            assert_int_equal(leaves(t->in_host), all);
            assert_int_equal(leaves(t->away), 0);
        } else if (auto_ways[way].mode == SHUNT_PROCESSES) {
            assert_int_equal(leaves(t->in_host), 0);
            assert_int_equal(leaves(t->away), all);
        } else {
            assert_true(leaves(t->in_host) + leaves(t->away) >= all);
        }
    }
    assert_true(report.slower > 0.0);
}

static void every_task_of_a_pure_workload_runs_where_its_pool_has_it(void **s)
{
    (void)s;
    for (int load = AUTO_LOAD_TINY; load < AUTO_LOAD_CRASHERS; load++)
        check_a_pure_one((enum auto_load_id)load);
}

static void the_host_survives_crashes_since_none_of_that_kind_runs_in_it(
    void **s)
{
    (void)s;
    measure(AUTO_LOAD_CRASHERS, 0.1);
    for (int way = 0; way < AUTO_WAYS; way++) {
        const struct auto_tally *t = &report.tally[way];

        assert_int_equal(report.runs[way], auto_ways[way].survives &&
                                               way != AUTO_PROCESSES_INLINE);
        if (!report.runs[way])
            continue;
        assert_true(t->crashes >= WAYS_BATCHES);
        assert_int_equal(t->unsafe, 0);
        assert_int_equal(t->in_host[AUTO_RISKY], 0);
    }
}

static void a_mixture_is_whole_only_where_crashes_are_survived(void **s)
{
    (void)s;
    measure(AUTO_LOAD_MIXTURE, 0.4);
    for (int way = 0; way < AUTO_WAYS; way++) {
        const struct auto_tally *t = &report.tally[way];

        assert_true(report.runs[way]);
        assert_int_equal(report.whole[way], auto_ways[way].survives);
        assert_int_equal(t->crashes > 0, auto_ways[way].survives);
        assert_int_equal(t->unsafe, 0);
        for (int kind = 0; kind < AUTO_CARRY; kind++)
            assert_true(t->in_host[kind] + t->away[kind] > 0);
    }
}

static void what_cannot_be_measured_is_refused(void **s)
{
    const struct auto_options good = { .scale = 1.0, .rounds = 1 };
    struct auto_options options[] = { good, good, good };

    (void)s;
    options[0].scale = 2.0;
    options[1].rounds = 0;
    options[2].rounds = AUTO_ROUNDS_MAX + 1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(auto_measure(&auto_loads[0], &options[i], &report),
                         -1);
        assert_non_null(report.why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_task_of_a_pure_workload_runs_where_its_pool_has_it),
        cmocka_unit_test(
            the_host_survives_crashes_since_none_of_that_kind_runs_in_it),
        cmocka_unit_test(a_mixture_is_whole_only_where_crashes_are_survived),
        cmocka_unit_test(what_cannot_be_measured_is_refused),
    };

    /* A sanitizer would report each crash. */
    (void)signal(SIGSEGV, SIG_DFL);
    if (auto_host_note() != 0 || shunt_init() != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
