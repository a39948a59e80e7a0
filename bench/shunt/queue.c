/* SPDX-License-Identifier: MIT */
/*
 * shunt/queue.c - a completion queue: 1,000,000 futures go in, and are taken
 * in batches of 64 by one thread.
 *
 *     queue/1w, queue/2w    tasks: the thread keeps 1,024 of them in the
 *                           queue, and sleeps when none is ready
 *     queue/steps           promises, all by one thread: adding them, giving
 *                           them, taking the events
 *
 * ns is for one future, from submit to having its value. What the same tasks
 * cost without a queue, submitted and taken in windows of 1,024, is measured
 * beside it; so is giving promises that are in no queue. Two rounds on one
 * pool; the first is reported as cold.
 */
#include "measure.h"
#include "shunt/cases.h"
#include "workload.h"

enum {
    BATCH = 64,
    INSIDE = 1024
};

/* ---- tasks ---- */

struct flow {
    shunt_pool *pool;
    shunt_queue *queue;
    size_t n;
    uint64_t sum;
};

static int submit_one(struct flow *f, uint64_t i)
{
    shunt_future *future = shunt_submit(f->pool, bench_add_one, &i);

    return shunt_queue_add(f->queue, future, NULL);
}

static int flow_queued(struct flow *f)
{
    shunt_event events[BATCH];
    uint64_t sent = 0, out;
    size_t done = 0;
    int rc = 0;

    f->sum = 0;
    for (; sent < f->n && sent < INSIDE; sent++)
        rc |= submit_one(f, sent);
    while (done < f->n && rc == 0) {
        int n = shunt_queue_wait(f->queue, events, BATCH, SHUNT_S(60));

        if (n <= 0)
            return -1;
        for (int i = 0; i < n; i++) {
            rc |= shunt_take(events[i].future, &out);
            f->sum += out;
            if (sent < f->n)
                rc |= submit_one(f, sent++);
        }
        done += (size_t)n;
    }
    return rc;
}

static int flow_plain(struct flow *f)
{
    static shunt_future *window[INSIDE];
    uint64_t out;
    int rc = 0;

    f->sum = 0;
    for (uint64_t sent = 0; sent < f->n; sent++) {
        shunt_future **at = &window[sent % INSIDE];

        if (sent >= INSIDE) {
            rc |= shunt_take(*at, &out);
            f->sum += out;
        }
        *at = shunt_submit(f->pool, bench_add_one, &sent);
    }
    for (size_t i = 0; i < INSIDE && i < f->n; i++) {
        rc |= shunt_take(window[i], &out);
        f->sum += out;
    }
    return rc;
}

static double flow_ns(struct flow *f, int (*flow)(struct flow *), int *rc)
{
    int64_t begin = bench_now_ns();

    *rc |= flow(f);
    if (f->sum != (uint64_t)f->n * (f->n + 1) / 2)
        *rc = -1;
    return (double)(bench_now_ns() - begin) / (double)f->n;
}

static void flow_run(gbench_state *state, const void *arg)
{
    struct flow f = { .n = bench_scaled(1000000) };
    int workers = *(const int *)arg;
    double cold, warm = 0, plain;
    int rc = 0;

    if (shunt_pool_new(&f.pool, &(shunt_options){ .workers = workers }) != 0 ||
        shunt_queue_new(&f.queue) != 0) {
        gbench_fail(state, "no pool or no queue");
        return;
    }
    cold = flow_ns(&f, flow_queued, &rc);
    plain = flow_ns(&f, flow_plain, &rc);
    while (gbench_next(state)) {
        warm = flow_ns(&f, flow_queued, &rc);
        gbench_time_add(state, (int64_t)(warm * (double)f.n));
    }
    rc |= shunt_queue_free(f.queue);
    rc |= shunt_pool_free(f.pool);
    if (rc != 0)
        gbench_fail(state, "a task failed or was lost");
    gbench_counter_set(state, "ns", warm);
    gbench_counter_set(state, "cold_ns", cold);
    gbench_counter_set(state, "plain_ns", plain);
}

/* ---- promises ---- */

struct steps {
    int64_t add_ns, give_ns, take_ns, give_alone_ns;
};

static int take_all(shunt_queue *queue, size_t n)
{
    shunt_event events[BATCH];
    size_t done = 0;
    int got, rc = 0;

    while ((got = shunt_queue_take(queue, events, BATCH)) > 0) {
        for (int i = 0; i < got; i++)
            rc |= shunt_release(events[i].future);
        done += (size_t)got;
    }
    return rc == 0 && got == 0 && done == n ? 0 : -1;
}

static int steps_round(shunt_pool *pool, shunt_queue *queue,
                       struct bench_promises *set, size_t n, struct steps *s)
{
    int rc = bench_promises_make(set, pool, n);
    int64_t begin = bench_now_ns();

    rc |= bench_promises_give(set);
    s->give_alone_ns = bench_now_ns() - begin;
    rc |= bench_promises_release(set);
    rc |= bench_promises_make(set, pool, n);
    begin = bench_now_ns();
    for (size_t i = 0; i < n; i++)
        rc |= shunt_queue_add(queue, set->futures[i], NULL);
    int64_t added = bench_now_ns();
    rc |= bench_promises_give(set);
    int64_t given = bench_now_ns();
    rc |= take_all(queue, n);
    s->take_ns = bench_now_ns() - given;
    s->give_ns = given - added;
    s->add_ns = added - begin;
    return rc;
}

static void steps_run(gbench_state *state, const void *arg)
{
    size_t n = bench_scaled(1000000);
    double futures = (double)n;
    struct bench_promises set;
    struct steps cold = { 0 }, s = { 0 };
    shunt_pool *pool;
    shunt_queue *queue;

    (void)arg;
    if (bench_promises_init(&set, n) != 0 ||
        shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) != 0 ||
        shunt_queue_new(&queue) != 0) {
        gbench_fail(state, "no pool or no queue");
        return;
    }
    int rc = steps_round(pool, queue, &set, n, &cold);
    while (gbench_next(state)) {
        rc |= steps_round(pool, queue, &set, n, &s);
        gbench_time_add(state, s.add_ns + s.give_ns + s.take_ns);
    }
    rc |= shunt_queue_free(queue);
    rc |= shunt_pool_free(pool);
    bench_promises_fini(&set);
    if (rc != 0)
        gbench_fail(state, "a promise failed or an event was lost");
    gbench_counter_set(state, "ns",
                       (double)(s.add_ns + s.give_ns + s.take_ns) / futures);
    gbench_counter_set(state, "cold_ns",
                       (double)(cold.add_ns + cold.give_ns + cold.take_ns) /
                           futures);
    gbench_counter_set(state, "add_ns", (double)s.add_ns / futures);
    gbench_counter_set(state, "give_ns", (double)s.give_ns / futures);
    gbench_counter_set(state, "give_alone_ns",
                       (double)s.give_alone_ns / futures);
    gbench_counter_set(state, "take_ns", (double)s.take_ns / futures);
}

void bench_queue_register(void)
{
    static const int one = 1, two = 2;

    gbench_register("queue/1w", flow_run, &one, 1);
    gbench_register("queue/2w", flow_run, &two, 1);
    gbench_register("queue/steps", steps_run, NULL, 1);
}
