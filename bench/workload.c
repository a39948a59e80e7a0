/* SPDX-License-Identifier: MIT */
/*
 * workload.c - the workloads that several systems have, measured by one code.
 *
 * A submit benchmark runs two rounds on one pool: the first touches every
 * record for the first time and is reported as cold, the second is the
 * benchmark's time.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding/gbench.h"
#include "measure.h"

static const struct bench_system *sys;
static double scale = 1.0;

size_t bench_scaled(size_t n)
{
    double scaled = (double)n * scale;

    return scaled < 1.0 ? 1 : (size_t)scaled;
}

struct submit_case {
    const char *name;
    int workers;
    size_t window; /* 0: all */
};

static const struct submit_case submit_cases[] = {
    { "submit/1w/window:1024", 1, 1024 },
    { "submit/1w/window:all", 1, 0 },
    { "submit/2w/window:1024", 2, 1024 },
    { "submit/2w/window:all", 2, 0 },
};

/* Nanoseconds for n tasks in windows, or -1 if a result is missing. */
static int64_t submit_round(size_t n, size_t window)
{
    uint64_t sum = 0, expected = (uint64_t)n * (n + 1) / 2;
    int64_t begin = bench_now_ns();

    for (size_t first = 0; first < n; first += window) {
        size_t left = n - first;
        uint64_t part = 0;
        if (sys->window(first, left < window ? left : window, &part) != 0)
            return -1;
        sum += part;
    }
    int64_t end = bench_now_ns();
    return sum == expected ? end - begin : -1;
}

static void submit_run(gbench_state *state, const void *arg)
{
    const struct submit_case *c = arg;
    size_t n = bench_scaled(1000000);
    size_t window = c->window != 0 ? c->window : n;
    int64_t cold = -1, warm = -1;

    if (sys->open(c->workers, -1) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    if (sys->prepare(window) == 0)
        cold = submit_round(n, window);
    while (gbench_next(state)) {
        warm = submit_round(n, window);
        gbench_time_add(state, warm);
    }
    sys->close();
    if (cold < 0 || warm < 0)
        gbench_fail(state, "a task failed or was lost");
    gbench_counter_set(state, "ns", (double)warm / (double)n);
    gbench_counter_set(state, "cold_ns", (double)cold / (double)n);
}

/* -- the same from several threads at once -- */

enum {
    SUBMITTERS = 4
};

static const struct submit_case many_case = { "submit/2w/from:4/window:1024", 2,
                                              1024 };

struct submitter {
    pthread_t thread;
    pthread_barrier_t *barrier; /* before each round */
    int64_t began[2], ended[2];
    size_t window;
    uint64_t first, n;
    bool failed;
};

static void *submit_some(void *arg)
{
    struct submitter *s = arg;
    bool entered = sys->enter(s->window) == 0;

    for (int round = 0; round < 2; round++) {
        uint64_t sum = 0;

        pthread_barrier_wait(s->barrier);
        s->began[round] = bench_now_ns();
        for (uint64_t at = 0; entered && at < s->n; at += s->window) {
            uint64_t part = 0, left = s->n - at;
            size_t n = left < s->window ? left : s->window;

            s->failed |= sys->window(s->first + at, n, &part) != 0;
            sum += part;
        }
        s->ended[round] = bench_now_ns();
        /* The numbers from first on, each 1 more. */
        s->failed |= sum != s->n * (2 * s->first + s->n + 1) / 2;
    }
    if (entered)
        sys->leave();
    return NULL;
}

/* From the first who began to the last who ended. */
static int64_t time_of(const struct submitter *all, int round)
{
    int64_t began = INT64_MAX, ended = 0;

    for (size_t i = 0; i < SUBMITTERS; i++) {
        if (all[i].began[round] < began)
            began = all[i].began[round];
        if (all[i].ended[round] > ended)
            ended = all[i].ended[round];
    }
    return ended - began;
}

/* Two rounds; their times. 0, or -1 if a task was lost. */
static int submit_from_many(size_t n, const struct submit_case *c,
                            int64_t ns_out[2])
{
    struct submitter all[SUBMITTERS];
    pthread_barrier_t barrier;
    bool failed = false;

    pthread_barrier_init(&barrier, NULL, SUBMITTERS);
    for (size_t i = 0; i < SUBMITTERS; i++) {
        all[i] = (struct submitter){ .barrier = &barrier,
                                     .window = c->window,
                                     .first = i * (n / SUBMITTERS),
                                     .n = n / SUBMITTERS };
        if (pthread_create(&all[i].thread, NULL, submit_some, &all[i]) != 0)
            abort();
    }
    for (size_t i = 0; i < SUBMITTERS; i++) {
        pthread_join(all[i].thread, NULL);
        failed |= all[i].failed;
    }
    pthread_barrier_destroy(&barrier);
    for (int round = 0; round < 2; round++)
        ns_out[round] = time_of(all, round);
    return failed ? -1 : 0;
}

static void submit_many_run(gbench_state *state, const void *arg)
{
    const struct submit_case *c = arg;
    size_t n = bench_scaled(1000000) / SUBMITTERS * SUBMITTERS;
    int64_t ns[2] = { 0, 0 };
    int rc = 0;

    if (sys->open(c->workers, -1) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    while (gbench_next(state)) {
        rc |= submit_from_many(n, c, ns);
        gbench_time_add(state, ns[1]);
    }
    sys->close();
    if (rc != 0)
        gbench_fail(state, "a task failed or was lost");
    gbench_counter_set(state, "ns", (double)ns[1] / (double)n);
    gbench_counter_set(state, "cold_ns", (double)ns[0] / (double)n);
}

static const struct bench_pinned trip_cases[] = {
    { "roundtrip/one-cpu", 1, 0, 0 },
    { "roundtrip/apart", 1, 0, 1 },
    { "roundtrip/free", 2, -1, -1 },
};

/* 200 us pass before each trip: long enough for every system to go idle. */
enum {
    TRIP_PAUSE_US = 200,
    TRIPS = 1500,
    TRIPS_BEFORE = 50
};

int bench_pinned_open(const struct bench_pinned *c)
{
    int worker_cpu = bench_cpu_nth(c->worker_cpu);
    int main_cpu = bench_cpu_nth(c->main_cpu);

    if (c->main_cpu >= 0 && (main_cpu < 0 || worker_cpu < 0))
        return -1;
    if (bench_thread_pin(worker_cpu) != 0 ||
        sys->open(c->workers, worker_cpu) != 0)
        return -1;
    if (bench_thread_pin(main_cpu) == 0)
        return 0;
    sys->close();
    return -1;
}

void bench_pinned_close(gbench_state *state, double *us, size_t n,
                        const char *wrong)
{
    sys->close();
    (void)bench_thread_pin(-1);
    if (wrong != NULL || n == 0)
        gbench_fail(state, wrong != NULL ? wrong : "nothing was measured");
    else {
        gbench_counter_set(state, "p50_us", bench_quantile(us, n, 0.50));
        gbench_counter_set(state, "p99_us", bench_quantile(us, n, 0.99));
    }
}

static void trip_run(gbench_state *state, const void *arg)
{
    double *us = bench_pages_new(bench_scaled(TRIPS) * sizeof(*us));
    size_t n = 0;
    int rc = 0;

    if (us == NULL || bench_pinned_open(arg) != 0) {
        gbench_fail(state, "open failed, or there are too few CPUs");
        (void)bench_thread_pin(-1);
        free(us);
        return;
    }
    for (int i = 0; i < TRIPS_BEFORE; i++) {
        bench_pause_us(TRIP_PAUSE_US);
        rc |= sys->ping();
    }
    while (gbench_next(state)) {
        bench_pause_us(TRIP_PAUSE_US);
        int64_t begin = bench_now_ns();
        rc |= sys->ping();
        int64_t ns = bench_now_ns() - begin;
        gbench_time_add(state, ns);
        us[n++] = (double)ns / 1000.0;
    }
    bench_pinned_close(state, us, n, rc == 0 ? NULL : "a trip failed");
    free(us);
}

void bench_trip_register(const struct bench_pinned *c)
{
    gbench_register(c->name, trip_run, c, (int64_t)bench_scaled(TRIPS));
}

enum {
    IDLE_MS = 5000,
    IDLE_SETTLE_MS = 500,
    IDLE_TASKS = 10000
};

static void idle_run(gbench_state *state, const void *arg)
{
    int64_t ms = (int64_t)bench_scaled(IDLE_MS);
    uint64_t sum = 0, before = 0, after = 0;
    unsigned threads = 0;

    (void)arg;
    if (sys->open(2, -1) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    int rc = sys->prepare(IDLE_TASKS);
    while (gbench_next(state)) {
        /* Work first: a pool that never ran anything is idle trivially. */
        if (rc == 0)
            rc = sys->window(0, IDLE_TASKS, &sum);
        bench_pause_us(IDLE_SETTLE_MS * 1000);
        rc |= bench_switches_count(&before, &threads);
        int64_t cpu = bench_cpu_ns(), begin = bench_now_ns();
        bench_pause_us(ms * 1000);
        int64_t end = bench_now_ns();
        cpu = bench_cpu_ns() - cpu;
        rc |= bench_switches_count(&after, &threads);
        gbench_time_add(state, end - begin);
        gbench_counter_set(state, "cpu_percent",
                           100.0 * (double)cpu / (double)(end - begin));
    }
    sys->close();
    if (rc != 0)
        gbench_fail(state, "a task failed, or /proc cannot be read");
    /* The measuring thread's own sleep is one switch. */
    gbench_counter_set(state, "switches", (double)(after - before) - 1.0);
}

struct tree_case {
    const char *name;
    int workers;
};

static const struct tree_case tree_cases[] = {
    { "tree/1w", 1 },
    { "tree/2w", 2 },
};

static void tree_run(gbench_state *state, const void *arg)
{
    const struct tree_case *c = arg;
    uint64_t leaves = 10, tasks = 11, sum = 0;
    int64_t cold = -1, warm = -1;

    while (leaves * 10 <= bench_scaled(100000)) {
        leaves *= 10;
        tasks += leaves;
    }
    if (sys->open(c->workers, -1) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    int64_t begin = bench_now_ns();
    int rc = sys->tree(0, leaves, &sum);
    cold = bench_now_ns() - begin;
    bool right = sum == leaves * (leaves - 1) / 2;
    while (gbench_next(state)) {
        begin = bench_now_ns();
        rc |= sys->tree(0, leaves, &sum);
        warm = bench_now_ns() - begin;
        gbench_time_add(state, warm);
    }
    sys->close();
    if (rc != 0 || !right || sum != leaves * (leaves - 1) / 2)
        gbench_fail(state, "a task failed or was lost");
    gbench_counter_set(state, "ns", (double)warm / (double)tasks);
    gbench_counter_set(state, "cold_ns", (double)cold / (double)tasks);
}

static void pending_run(gbench_state *state, const void *arg)
{
    size_t n = bench_scaled(1000000);
    int64_t begin = 0;

    (void)arg;
    if (sys->open(1, -1) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    if (sys->prepare(n) != 0) {
        sys->close();
        gbench_fail(state, "prepare failed");
        return;
    }
    size_t before = bench_memory_bytes(), after = before;
    int rc = 0;
    while (gbench_next(state)) {
        begin = bench_now_ns();
        rc = sys->pending_new(n);
        gbench_time_add(state, bench_now_ns() - begin);
        after = bench_memory_bytes();
        sys->pending_free();
    }
    sys->close();
    if (rc != 0)
        gbench_fail(state, "a future could not be made");
    gbench_counter_set(state, "bytes",
                       ((double)after - (double)before) / (double)n);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void workloads_register(void)
{
    for (size_t i = 0; sys->window != NULL && i < COUNT(submit_cases); i++)
        gbench_register(submit_cases[i].name, submit_run, &submit_cases[i], 1);
    if (sys->enter != NULL)
        gbench_register(many_case.name, submit_many_run, &many_case, 1);
    for (size_t i = 0; sys->ping != NULL && i < COUNT(trip_cases); i++)
        bench_trip_register(&trip_cases[i]);
    if (sys->window != NULL)
        gbench_register("idle/2w", idle_run, NULL, 1);
    for (size_t i = 0; sys->tree != NULL && i < COUNT(tree_cases); i++)
        gbench_register(tree_cases[i].name, tree_run, &tree_cases[i], 1);
    bench_compose_register(sys);
    if (sys->pending_new != NULL)
        gbench_register("memory/pending", pending_run, NULL, 1);
    if (sys->timer_cancel != NULL)
        bench_timers_register(sys);
}

int bench_main(int argc, char **argv, const struct bench_system *system,
               void (*more)(void))
{
    static const char flag[] = "--scale=";
    int kept = 1;

    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], flag, sizeof(flag) - 1) == 0)
            scale = strtod(argv[i] + sizeof(flag) - 1, NULL);
        else
            argv[kept++] = argv[i];
    argv[kept] = NULL;
    if (!(scale > 0.0 && scale <= 10.0)) {
        fprintf(stderr, "--scale: a number above 0, at most 10\n");
        return 2;
    }
    sys = system;
    if (sys->rows != BENCH_PROCESSES)
        workloads_register();
    if (sys->rows != BENCH_THREADS)
        bench_crossings_register(sys);
    if (more != NULL)
        more();
    return gbench_run(kept, argv);
}
