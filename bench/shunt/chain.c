/* SPDX-License-Identifier: MIT */
/*
 * shunt/chain.c - a chain of 1,000,000 then, built on a pending future and
 * run by giving its promise.
 *
 * Two rounds on one pool of one worker; the first is reported as cold. Only
 * the last future is held, so that what the chain leaves behind is freed
 * while it runs, and that is part of the time.
 */
#include "measure.h"
#include "shunt/cases.h"
#include "workload.h"

struct chain_times {
    int64_t build_ns, run_ns;
    size_t bytes; /* of the links while they wait */
};

static int chain_round(shunt_pool *pool, size_t n, struct chain_times *times)
{
    shunt_promise *promise;
    shunt_future *last;
    uint64_t zero = 0, out = 0;

    if (shunt_promise_new(pool, uint64_t, &promise, &last) != 0)
        return -1;
    size_t before = bench_memory_bytes();
    int64_t begin = bench_now_ns();
    for (size_t i = 0; i < n; i++)
        last = shunt_then(last, bench_add_one);
    int64_t built = bench_now_ns();
    size_t after = bench_memory_bytes();
    int64_t resumed = bench_now_ns();
    int rc = shunt_promise_give(promise, &zero);
    rc |= shunt_take(last, &out);
    int64_t end = bench_now_ns();
    *times = (struct chain_times){ .build_ns = built - begin,
                                   .run_ns = end - resumed,
                                   .bytes = after - before };
    return rc == 0 && out == n ? 0 : -1;
}

static void chain_run(gbench_state *state, const void *arg)
{
    size_t n = bench_scaled(1000000);
    double links = (double)n;
    struct chain_times cold = { 0 }, warm = { 0 };
    shunt_pool *pool;

    (void)arg;
    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) != 0) {
        gbench_fail(state, "shunt_pool_new failed");
        return;
    }
    int rc = chain_round(pool, n, &cold);
    while (gbench_next(state)) {
        rc |= chain_round(pool, n, &warm);
        gbench_time_add(state, warm.build_ns + warm.run_ns);
    }
    rc |= shunt_pool_free(pool);
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

void bench_chain_register(void)
{
    gbench_register("then/chain", chain_run, NULL, 1);
}
