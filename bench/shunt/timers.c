/* SPDX-License-Identifier: MIT */
/*
 * shunt/timers.c - shunt's side of the timer workloads, and what a deadline
 * adds to a task.
 *
 * A timer that a user sets is a future, shunt_delay: it is made, cancelled and
 * released. A deadline of a task sets and drops one as well, and has no future
 * of its own: timer/deadline is submit/1w/window:1024 with a deadline each,
 * and plain_ns the same in turn without.
 */
#include <stdlib.h>

#include "measure.h"
#include "shunt/cases.h"
#include "workload.h"

#define FAR_AWAY SHUNT_S(3600)

static shunt_future **waiting;
static size_t waiting_count;

int bench_timer_cancel(shunt_pool *pool, size_t n)
{
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        shunt_future *f = shunt_delay(pool, SHUNT_S(10));

        rc |= shunt_cancel(f) != 1;
        rc |= shunt_release(f);
    }
    return rc == 0 ? 0 : -1;
}

int bench_timer_wait(shunt_pool *pool, int ms)
{
    return shunt_join(shunt_delay(pool, SHUNT_MS(ms)));
}

int bench_timers_new(shunt_pool *pool, size_t n)
{
    int rc = 0;

    waiting = bench_pages_new(n * sizeof(*waiting));
    waiting_count = waiting != NULL ? n : 0;
    for (size_t i = 0; i < waiting_count; i++) {
        waiting[i] = shunt_delay(pool, FAR_AWAY);
        rc |= shunt_status(waiting[i]) != SHUNT_PENDING;
    }
    return rc == 0 && waiting != NULL ? 0 : -1;
}

void bench_timers_free(void)
{
    for (size_t i = 0; i < waiting_count; i++) {
        (void)shunt_cancel(waiting[i]);
        (void)shunt_release(waiting[i]);
    }
    free(waiting);
    waiting = NULL;
    waiting_count = 0;
}

enum {
    WINDOW = 1024
};

/* Nanoseconds for n tasks, or -1. */
static int64_t deadline_round(shunt_pool *pool, size_t n, bool bound)
{
    static shunt_future *futures[WINDOW];
    int64_t begin = bench_now_ns();
    int rc = 0;

    for (size_t first = 0; first < n; first += WINDOW) {
        for (uint64_t i = 0; i < WINDOW; i++)
            futures[i] =
                bound ? shunt_submit_with(pool, bench_add_one, &i,
                                          .deadline_ns = SHUNT_S(10))
                      : shunt_submit(pool, bench_add_one, &i);
        for (uint64_t i = 0; i < WINDOW; i++) {
            uint64_t out = 0;

            rc |= shunt_take(futures[i], &out) != 0 || out != i + 1;
        }
    }
    return rc == 0 ? bench_now_ns() - begin : -1;
}

static void deadline_run(gbench_state *state, const void *arg)
{
    size_t n = bench_scaled(1000000);
    int64_t bound = -1, plain = -1;
    shunt_pool *pool;

    (void)arg;
    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) != 0) {
        gbench_fail(state, "shunt_pool_new failed");
        return;
    }
    (void)deadline_round(pool, n / 10, true);
    while (gbench_next(state)) {
        plain = deadline_round(pool, n, false);
        bound = deadline_round(pool, n, true);
        gbench_time_add(state, bound);
    }
    (void)shunt_pool_free(pool);
    if (plain < 0 || bound < 0)
        gbench_fail(state, "a task failed or was lost");
    gbench_counter_set(state, "ns", (double)bound / (double)n);
    gbench_counter_set(state, "plain_ns", (double)plain / (double)n);
}

void bench_deadline_register(void)
{
    gbench_register("timer/deadline", deadline_run, NULL, 1);
}
