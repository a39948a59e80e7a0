/* SPDX-License-Identifier: MIT */
/*
 * shunt/pending.c - memory: what each of 1,000,000 pending futures takes.
 *
 *     memory/queued     a submitted task that no worker has taken yet
 *     memory/then       a continuation on one pending future
 *     memory/when_all   an input of one when_all, beyond the input itself
 *
 * (memory/pending, a promise's future, is a workload that peers have too.)
 * The figure is the growth of the memory that is present in the process; the
 * benchmark's own arrays are present before. It includes records, handles,
 * edges, tables, and 8 bytes of result (and 8 of input for a task).
 */
#include <semaphore.h>
#include <stdlib.h>

#include "measure.h"
#include "shunt/cases.h"
#include "workload.h"

/* One measured stretch: n futures come to be between begin and end. */
struct growth {
    shunt_pool *pool;
    size_t n;
    size_t before, after;
    int64_t begin, end;
};

static void growth_begin(struct growth *g)
{
    g->before = bench_memory_bytes();
    g->begin = bench_now_ns();
}

static void growth_end(struct growth *g)
{
    g->end = bench_now_ns();
    g->after = bench_memory_bytes();
}

static int join_all(shunt_future **futures, size_t n)
{
    int rc = 0;

    for (size_t i = 0; i < n; i++)
        rc |= shunt_join(futures[i]);
    return rc == 0 ? 0 : -1;
}

/* The only worker sits in a task that waits outside of shunt's knowledge. */
static sem_t worker_is_in, worker_may_leave;

static int hold_worker(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    sem_post(&worker_is_in);
    while (sem_wait(&worker_may_leave) != 0)
        continue;
    return 0;
}
SHUNT_TASK(hold_worker, shunt_none, shunt_none)

static int queued_grow(struct growth *g, shunt_future **futures)
{
    if (sem_init(&worker_is_in, 0, 0) != 0 ||
        sem_init(&worker_may_leave, 0, 0) != 0)
        return -1;
    shunt_future *holder = shunt_submit(g->pool, hold_worker, NULL);
    while (sem_wait(&worker_is_in) != 0)
        continue;
    growth_begin(g);
    for (uint64_t i = 0; i < g->n; i++)
        futures[i] = shunt_submit(g->pool, bench_add_one, &i);
    growth_end(g);
    sem_post(&worker_may_leave);
    int rc = shunt_join(holder);
    return rc | join_all(futures, g->n);
}

static int then_grow(struct growth *g, shunt_future **futures)
{
    shunt_promise *promise;
    shunt_future *first;
    uint64_t zero = 0;

    if (shunt_promise_new(g->pool, uint64_t, &promise, &first) != 0)
        return -1;
    growth_begin(g);
    for (size_t i = 0; i < g->n; i++)
        futures[i] = shunt_then(shunt_retain(first), bench_add_one);
    growth_end(g);
    int rc = shunt_promise_give(promise, &zero);
    rc |= shunt_release(first);
    return rc | join_all(futures, g->n);
}

static int all_grow(struct growth *g, shunt_future **futures)
{
    struct bench_promises set;

    (void)futures;
    int rc = bench_promises_init(&set, g->n);
    if (rc == 0)
        rc = bench_promises_make(&set, g->pool, g->n);
    growth_begin(g);
    shunt_future *all = shunt_when_all(set.futures, set.count);
    growth_end(g);
    rc |= bench_promises_give(&set);
    rc |= shunt_join(all);
    bench_promises_fini(&set);
    return rc;
}

struct growth_case {
    const char *name;
    int (*grow)(struct growth *g, shunt_future **futures);
};

static const struct growth_case growth_cases[] = {
    { "memory/queued", queued_grow },
    { "memory/then", then_grow },
    { "memory/when_all", all_grow },
};

static void growth_run(gbench_state *state, const void *arg)
{
    const struct growth_case *c = arg;
    struct growth g = { .n = bench_scaled(1000000) };
    shunt_future **futures = bench_pages_new(g.n * sizeof(shunt_future *));
    int rc = 0;

    if (futures == NULL ||
        shunt_pool_new(&g.pool, &(shunt_options){ .workers = 1 }) != 0) {
        gbench_fail(state, "shunt_pool_new failed");
        free(futures);
        return;
    }
    while (gbench_next(state)) {
        rc |= c->grow(&g, futures);
        gbench_time_add(state, g.end - g.begin);
    }
    rc |= shunt_pool_free(g.pool);
    free(futures);
    if (rc != 0)
        gbench_fail(state, "a future failed or could not be made");
    gbench_counter_set(state, "bytes",
                       ((double)g.after - (double)g.before) / (double)g.n);
}

void bench_pending_register(void)
{
    for (size_t i = 0; i < sizeof(growth_cases) / sizeof(growth_cases[0]); i++)
        gbench_register(growth_cases[i].name, growth_run, &growth_cases[i], 1);
}
