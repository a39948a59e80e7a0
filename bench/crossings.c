/* SPDX-License-Identifier: MIT */
/*
 * crossings.c - what it costs to have another process do something.
 *
 *     crossing/{one-cpu,apart}   a tiny task, to an idle worker and back
 *     bulk/2w                    20,000 tiny tasks, to two workers
 *     payload/{one-cpu,apart}    1 MiB there, and 1 MiB back
 *     payload/stream/...         the same, four at a time
 *
 * Threads have these rows as well, beside which processes are to be seen.
 */
#include <stdlib.h>

#include "binding/gbench.h"
#include "measure.h"
#include "workload.h"

static const struct bench_system *sys;

static const struct bench_pinned trips[] = {
    { "crossing/one-cpu", 1, 0, 0 },
    { "crossing/apart", 1, 0, 1 },
};

static const struct bench_pinned payloads[] = {
    { "payload/one-cpu", 1, 0, 0 },
    { "payload/apart", 1, 0, 1 },
};

static const struct bench_pinned streams[] = {
    { "payload/stream/one-cpu", 1, 0, 0 },
    { "payload/stream/apart", 1, 0, 1 },
};

enum {
    BULK = 20000,
    BULK_ROUNDS = 50,
    PAYLOAD_TIMES = 400,
    PAYLOAD_TIMES_BEFORE = 20
};

/* Nanoseconds for BULK tasks, or -1. */
static int64_t bulk_round(void)
{
    uint64_t sum = 0, expected = (uint64_t)BULK * (BULK + 1) / 2;
    int64_t begin = bench_now_ns();
    int rc = sys->window(0, BULK, &sum);
    int64_t end = bench_now_ns();

    return rc == 0 && sum == expected ? end - begin : -1;
}

static void bulk_run(gbench_state *state, const void *arg)
{
    double *ns = bench_pages_new(bench_scaled(BULK_ROUNDS) * sizeof(*ns));
    int64_t cold = -1, warm = 0;
    size_t n = 0;

    (void)arg;
    if (ns == NULL || sys->open(2, -1) != 0) {
        gbench_fail(state, "open failed");
        free(ns);
        return;
    }
    if (sys->prepare(BULK) == 0)
        cold = bulk_round();
    while (gbench_next(state)) {
        int64_t round = cold < 0 ? -1 : bulk_round();
        if (round < 0)
            warm = -1;
        gbench_time_add(state, round);
        ns[n++] = (double)round / (double)BULK;
    }
    sys->close();
    if (cold < 0 || warm < 0)
        gbench_fail(state, "a task failed or was lost");
    else {
        gbench_counter_set(state, "ns", bench_quantile(ns, n, 0.5));
        gbench_counter_set(state, "cold_ns", (double)cold / (double)BULK);
    }
    free(ns);
}

/* Each payload ends differently, so that one which was not copied is seen. */
static int payload_once(const unsigned char *source, size_t i)
{
    size_t at = i % BENCH_PAYLOADS * BENCH_PAYLOAD;
    unsigned last = 0;

    if (sys->payload(source + at, &last) != 0)
        return -1;
    return last == i % BENCH_PAYLOADS + 1 ? 0 : -1;
}

static int payloads_once(const unsigned char *source, size_t unused)
{
    unsigned sum = 0;

    (void)unused;
    if (sys->payloads(source, &sum) != 0)
        return -1;
    return sum == BENCH_PAYLOADS * (BENCH_PAYLOADS + 1) / 2 ? 0 : -1;
}

/* Measure once, which is so many payloads. */
static void payloads_run(gbench_state *state, const void *arg,
                         int (*once)(const unsigned char *source, size_t i),
                         unsigned count)
{
    size_t bytes = BENCH_PAYLOADS * BENCH_PAYLOAD, n = 0;
    unsigned char *source = bench_pages_new(bytes);
    double *us = bench_pages_new(bench_scaled(PAYLOAD_TIMES) * sizeof(*us));
    int rc = 0;

    if (source == NULL || us == NULL || bench_pinned_open(arg) != 0) {
        gbench_fail(state, "open failed, or there are too few CPUs");
        (void)bench_thread_pin(-1);
        free(source);
        free(us);
        return;
    }
    for (size_t i = 0; i < BENCH_PAYLOADS; i++)
        source[(i + 1) * BENCH_PAYLOAD - 1] = (unsigned char)(i + 1);
    for (size_t i = 0; i < PAYLOAD_TIMES_BEFORE; i++)
        rc |= once(source, i);
    while (gbench_next(state)) {
        int64_t begin = bench_now_ns();
        rc |= once(source, n);
        int64_t ns = bench_now_ns() - begin;
        gbench_time_add(state, ns);
        us[n++] = (double)ns / 1000.0 / count;
    }
    bench_pinned_close(state, us, n,
                       rc == 0 ? NULL : "a payload was lost or is wrong");
    free(source);
    free(us);
}

static void payload_run(gbench_state *state, const void *arg)
{
    payloads_run(state, arg, payload_once, 1);
}

static void stream_run(gbench_state *state, const void *arg)
{
    payloads_run(state, arg, payloads_once, BENCH_PAYLOADS);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void bench_crossings_register(const struct bench_system *system)
{
    sys = system;
    for (size_t i = 0; sys->ping != NULL && i < COUNT(trips); i++)
        bench_trip_register(&trips[i]);
    if (sys->window != NULL)
        gbench_register("bulk/2w", bulk_run, NULL,
                        (int64_t)bench_scaled(BULK_ROUNDS));
    for (size_t i = 0; sys->payload != NULL && i < COUNT(payloads); i++)
        gbench_register(payloads[i].name, payload_run, &payloads[i],
                        (int64_t)bench_scaled(PAYLOAD_TIMES));
    for (size_t i = 0; sys->payloads != NULL && i < COUNT(streams); i++)
        gbench_register(streams[i].name, stream_run, &streams[i],
                        (int64_t)bench_scaled(PAYLOAD_TIMES));
}
