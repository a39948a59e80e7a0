/* SPDX-License-Identifier: MIT */
/*
 * compose.c - tasks that wait for each other.
 *
 *     then/chain             1,000,000 steps, each of which waits for the one
 *                            before; built, and then let go
 *     when_all/tasks/{1,2}w  1,000,000 tasks, and one wait for all of them
 *     pingpong/{1,2}w        two tasks send each other 200,000 messages
 *
 * Each is done twice on one pool; the first time is reported as cold. What the
 * chain leaves behind is freed while it runs, and that is part of the time.
 */
#include "binding/gbench.h"
#include "measure.h"
#include "workload.h"

static const struct bench_system *sys;

enum {
    LINKS = 1000000,
    TASKS = 1000000,
    MESSAGES = 200000
};

struct chain_times {
    int64_t build_ns, run_ns;
    size_t bytes; /* of the links while they wait */
};

static int chain_round(size_t n, struct chain_times *times)
{
    uint64_t out = 0;
    size_t before = bench_memory_bytes();
    int64_t begin = bench_now_ns();
    int rc = sys->chain_build(n);
    int64_t built = bench_now_ns();
    size_t after = bench_memory_bytes();
    int64_t resumed = bench_now_ns();

    if (rc == 0)
        rc = sys->chain_run(&out);
    int64_t end = bench_now_ns();
    *times = (struct chain_times){ .build_ns = built - begin,
                                   .run_ns = end - resumed,
                                   .bytes = after - before };
    return rc == 0 && out == n ? 0 : -1;
}

static void chain_run(gbench_state *state, const void *arg)
{
    size_t n = bench_scaled(LINKS);
    double links = (double)n;
    struct chain_times cold = { 0 }, warm = { 0 };

    (void)arg;
    if (sys->open(1, -1) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    int rc = chain_round(n, &cold);
    while (gbench_next(state)) {
        rc |= chain_round(n, &warm);
        gbench_time_add(state, warm.build_ns + warm.run_ns);
    }
    sys->close();
    if (rc != 0)
        gbench_fail(state, "the chain failed or lost a link");
    gbench_counter_set(state, "ns",
                       (double)(warm.build_ns + warm.run_ns) / links);
    gbench_counter_set(state, "cold_ns",
                       (double)(cold.build_ns + cold.run_ns) / links);
    gbench_counter_set(state, "build_ns", (double)warm.build_ns / links);
    gbench_counter_set(state, "run_ns", (double)warm.run_ns / links);
    gbench_counter_set(state, "bytes", (double)cold.bytes / links);
}

/* Nanoseconds of one time, or -1; n units. */
typedef int64_t round_fn(size_t n);

static int64_t all_round(size_t n)
{
    uint64_t sum = 0;
    int64_t begin = bench_now_ns();
    int rc = sys->all(0, n, &sum);
    int64_t end = bench_now_ns();

    return rc == 0 && sum == (uint64_t)n * (n + 1) / 2 ? end - begin : -1;
}

static int64_t pingpong_round(size_t n)
{
    uint64_t out = 0;
    int64_t begin = bench_now_ns();
    int rc = sys->pingpong(n / 2, &out);
    int64_t end = bench_now_ns();

    return rc == 0 && out == n ? end - begin : -1;
}

struct twice {
    const char *name;
    int workers;
    round_fn *round;
    size_t n;
};

static const struct twice alls[] = {
    { "when_all/tasks/1w", 1, all_round, TASKS },
    { "when_all/tasks/2w", 2, all_round, TASKS },
};

static const struct twice pingpongs[] = {
    { "pingpong/1w", 1, pingpong_round, MESSAGES },
    { "pingpong/2w", 2, pingpong_round, MESSAGES },
};

static void twice_run(gbench_state *state, const void *arg)
{
    const struct twice *c = arg;
    size_t n = bench_scaled(c->n) & ~(size_t)1;
    int64_t cold = -1, warm = -1;

    if (sys->open(c->workers, -1) != 0) {
        gbench_fail(state, "open failed");
        return;
    }
    if (sys->prepare == NULL || sys->prepare(n) == 0)
        cold = c->round(n);
    while (gbench_next(state)) {
        warm = cold < 0 ? -1 : c->round(n);
        gbench_time_add(state, warm);
    }
    sys->close();
    if (cold < 0 || warm < 0)
        gbench_fail(state, "a task failed or was lost");
    gbench_counter_set(state, "ns", (double)warm / (double)n);
    gbench_counter_set(state, "cold_ns", (double)cold / (double)n);
}

void bench_compose_register(const struct bench_system *system)
{
    sys = system;
    if (sys->chain_build != NULL)
        gbench_register("then/chain", chain_run, NULL, 1);
    for (size_t i = 0; i < 2 && sys->all != NULL; i++)
        gbench_register(alls[i].name, twice_run, &alls[i], 1);
    for (size_t i = 0; i < 2 && sys->pingpong != NULL; i++)
        gbench_register(pingpongs[i].name, twice_run, &pingpongs[i], 1);
}
