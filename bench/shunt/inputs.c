/* SPDX-License-Identifier: MIT */
/*
 * shunt/inputs.c - when_all over 1,000,000 futures, settled and pending.
 *
 *     settled   when_all + await: attaching finds every input settled
 *     pending   when_all, then giving every promise, then await
 *
 * What giving costs without a when_all is measured beside the second, since
 * it is no cost of when_all's. Releasing the result, which releases the
 * inputs, is reported by itself. Two rounds on one pool of one worker; the
 * first is reported as cold.
 */
#include "measure.h"
#include "shunt/cases.h"
#include "workload.h"

struct all_times {
    int64_t attach_ns, give_ns, settle_ns, release_ns;
    int64_t give_alone_ns; /* the same promises without a when_all */
};

static int64_t give_alone(struct bench_promises *set, shunt_pool *pool,
                          size_t n, int *rc)
{
    *rc |= bench_promises_make(set, pool, n);
    int64_t begin = bench_now_ns();
    *rc |= bench_promises_give(set);
    int64_t end = bench_now_ns();
    *rc |= bench_promises_release(set);
    return end - begin;
}

/* Whether all holds the n numbers from 0; looks at a few. */
static bool right(shunt_future *all, size_t n)
{
    const shunt_results *results = shunt_peek(all, shunt_results);

    if (results == NULL || results->count != n)
        return false;
    for (size_t i = 0; i < n; i += n / 7 + 1) {
        const uint64_t *value = shunt_peek(results->futures[i], uint64_t);
        if (value == NULL || *value != i)
            return false;
    }
    return true;
}

static int all_round(shunt_pool *pool, struct bench_promises *set, size_t n,
                     bool settled, struct all_times *times)
{
    int rc = 0;

    times->give_alone_ns = give_alone(set, pool, n, &rc);
    rc |= bench_promises_make(set, pool, n);
    if (settled)
        rc |= bench_promises_give(set);
    int64_t begin = bench_now_ns();
    shunt_future *all = shunt_when_all(set->futures, n);
    int64_t attached = bench_now_ns();
    if (!settled)
        rc |= bench_promises_give(set);
    int64_t given = bench_now_ns();
    rc |= shunt_await(all);
    int64_t awaited = bench_now_ns();
    bool good = right(all, n);
    int64_t resumed = bench_now_ns();
    rc |= shunt_release(all);
    int64_t end = bench_now_ns();
    times->attach_ns = attached - begin;
    times->give_ns = given - attached;
    times->settle_ns = awaited - given;
    times->release_ns = end - resumed;
    return rc == 0 && good ? 0 : -1;
}

static int64_t all_sum(const struct all_times *t)
{
    return t->attach_ns + t->give_ns + t->settle_ns;
}

static void all_run(gbench_state *state, const void *arg)
{
    bool settled = *(const bool *)arg;
    size_t n = bench_scaled(1000000);
    double inputs = (double)n;
    struct all_times cold = { 0 }, warm = { 0 };
    struct bench_promises set;
    shunt_pool *pool;

    if (bench_promises_init(&set, n) != 0 ||
        shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) != 0) {
        gbench_fail(state, "shunt_pool_new failed");
        return;
    }
    int rc = all_round(pool, &set, n, settled, &cold);
    while (gbench_next(state)) {
        rc |= all_round(pool, &set, n, settled, &warm);
        gbench_time_add(state, all_sum(&warm));
    }
    rc |= shunt_pool_free(pool);
    bench_promises_fini(&set);
    if (rc != 0)
        gbench_fail(state, "when_all failed or has wrong results");
    gbench_counter_set(state, "ns", (double)all_sum(&warm) / inputs);
    gbench_counter_set(state, "cold_ns", (double)all_sum(&cold) / inputs);
    gbench_counter_set(state, "attach_ns", (double)warm.attach_ns / inputs);
    gbench_counter_set(state, "release_ns", (double)warm.release_ns / inputs);
    if (!settled) {
        gbench_counter_set(state, "give_ns", (double)warm.give_ns / inputs);
        gbench_counter_set(state, "give_alone_ns",
                           (double)warm.give_alone_ns / inputs);
    }
}

void bench_inputs_register(void)
{
    static const bool yes = true, no = false;

    gbench_register("when_all/settled", all_run, &yes, 1);
    gbench_register("when_all/pending", all_run, &no, 1);
}
