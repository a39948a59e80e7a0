/* SPDX-License-Identifier: MIT */
/*
 * timers.c - what a timer costs: set and cancelled, waiting, and late.
 *
 *     timer/cancel            set for 10 s and cancelled, one after the other
 *     timer/cancel/among-1M   the same while a million others wait
 *     timer/late              how late one of 2 ms is; the pool is idle
 *     memory/timer            a million that wait
 */
#include <stdlib.h>

#include "binding/gbench.h"
#include "measure.h"
#include "workload.h"

static const struct bench_system *sys;

enum {
    TIMERS = 1000000,
    LATE_US = 2000,
    LATE_TIMES = 500
};

static void cancel_run(gbench_state *state, const void *arg)
{
    size_t n = bench_scaled(TIMERS), others = arg != NULL ? n : 0;
    int64_t cold = 0, warm = 0;

    if (sys->open(1, -1) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    int rc = others > 0 ? sys->timers_new(others) : 0;
    int64_t begin = bench_now_ns();
    rc |= sys->timer_cancel(n);
    cold = bench_now_ns() - begin;
    while (gbench_next(state)) {
        begin = bench_now_ns();
        rc |= sys->timer_cancel(n);
        warm = bench_now_ns() - begin;
        gbench_time_add(state, warm);
    }
    if (others > 0)
        sys->timers_free();
    sys->close();
    if (rc != 0)
        gbench_fail(state, "a timer could not be set or cancelled");
    gbench_counter_set(state, "ns", (double)warm / (double)n);
    gbench_counter_set(state, "cold_ns", (double)cold / (double)n);
}

static void late_run(gbench_state *state, const void *arg)
{
    double *us = bench_pages_new(bench_scaled(LATE_TIMES) * sizeof(*us));
    size_t n = 0;
    int rc = 0;

    (void)arg;
    if (us == NULL || sys->open(1, -1) != 0) {
        gbench_fail(state, "open failed");
        free(us);
        return;
    }
    while (gbench_next(state)) {
        int64_t begin = bench_now_ns();
        rc |= sys->timer_wait(LATE_US / 1000);
        int64_t ns = bench_now_ns() - begin;
        gbench_time_add(state, ns);
        us[n++] = (double)ns / 1000.0 - (double)LATE_US;
    }
    sys->close();
    if (rc != 0 || n == 0) {
        gbench_fail(state, "a timer failed");
    } else {
        gbench_counter_set(state, "p50_us", bench_quantile(us, n, 0.50));
        gbench_counter_set(state, "p99_us", bench_quantile(us, n, 0.99));
        gbench_counter_set(state, "least_us", bench_quantile(us, n, 0.0));
    }
    free(us);
}

static void memory_run(gbench_state *state, const void *arg)
{
    size_t n = bench_scaled(TIMERS);

    (void)arg;
    if (sys->open(1, -1) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    int rc = sys->timer_cancel(1); /* what the first one brings about */
    size_t before = bench_memory_bytes(), after = before;
    while (gbench_next(state)) {
        int64_t begin = bench_now_ns();
        rc |= sys->timers_new(n);
        gbench_time_add(state, bench_now_ns() - begin);
        after = bench_memory_bytes();
        sys->timers_free();
    }
    sys->close();
    if (rc != 0)
        gbench_fail(state, "a timer could not be set");
    gbench_counter_set(state, "bytes",
                       ((double)after - (double)before) / (double)n);
}

void bench_timers_register(const struct bench_system *system)
{
    sys = system;
    gbench_register("timer/cancel", cancel_run, NULL, 1);
    gbench_register("timer/cancel/among-1M", cancel_run, system, 1);
    gbench_register("timer/late", late_run, NULL,
                    (int64_t)bench_scaled(LATE_TIMES));
    gbench_register("memory/timer", memory_run, NULL, 1);
}
