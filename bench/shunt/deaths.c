/* SPDX-License-Identifier: MIT */
/*
 * shunt/deaths.c - what the death of a worker process costs.
 *
 *     death/{segv,kill}        how long until the future of the task fails, and
 *                              until another process runs the next task
 *     death/segv/among-1M      the same beside a million pending futures
 *     kills/{0,10,100}         tiny tasks by two workers, of which so many die
 *                              a second
 *
 * The moment of a death is noted by the dying task, just before it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "measure.h"
#include "shunt/cases.h"
#include "workload.h"

/* In the pool's memory. */
struct scene {
    int64_t died_ns;
    bool killed;
    volatile int *volatile nowhere; /* NULL: the compiler does not know */
};

static int die(struct scene *const *in, uint64_t *out)
{
    struct scene *s = *in;

    *out = 0;
    s->died_ns = bench_now_ns();
    if (s->killed)
        (void)kill(getpid(), SIGKILL);
    else
        *s->nowhere = 1;
    return 0;
}
SHUNT_TASK(die, struct scene *, uint64_t)

struct death_case {
    const char *name;
    bool killed;
    size_t pending;
};

static const struct death_case death_cases[] = {
    { "death/segv", false, 0 },
    { "death/kill", true, 0 },
    { "death/segv/among-1M", false, 1000000 },
};

enum {
    DEATHS = 100,
    WINDOW = 1024,
    KILLS_MS = 3000
};

static int open_pool(shunt_pool **pool_out, int workers)
{
    return shunt_pool_new(
        pool_out, &(shunt_options){ .mode = SHUNT_PROCESSES,
                                    .workers = workers,
                                    .unobserved = shunt_unobserved_ignore });
}

/* One death: microseconds until it was known, and until the next task has run
 * in the process that took the place. */
static int death_once(shunt_pool *pool, struct scene *s, double *failed_us,
                      double *whole_us)
{
    uint64_t number = 1;
    shunt_future *last = shunt_submit(pool, die, &s);
    shunt_future *next = shunt_submit(pool, bench_add_one, &number);
    int status = shunt_await(last);
    int64_t failed_ns = bench_now_ns();
    int rc = shunt_take(next, &number);
    int64_t whole_ns = bench_now_ns();
    int signal = shunt_error_of(last)->signal;

    *failed_us = (double)(failed_ns - s->died_ns) / 1000.0;
    *whole_us = (double)(whole_ns - s->died_ns) / 1000.0;
    shunt_release(last);
    if (status != SHUNT_ECRASHED || rc != 0)
        return -1;
    return signal == (s->killed ? SIGKILL : SIGSEGV) ? 0 : -1;
}

static int death_loop(gbench_state *state, shunt_pool *pool, struct scene *s,
                      double *failed_us, double *whole_us)
{
    double first_us = 0, first_whole_us = 0;
    size_t n = 0;
    int rc = death_once(pool, s, &first_us, &first_whole_us);

    while (gbench_next(state)) {
        bench_pause_us(1000);
        rc |= death_once(pool, s, &failed_us[n], &whole_us[n]);
        gbench_time_add(state, (int64_t)(failed_us[n++] * 1000.0));
    }
    if (n == 0)
        return -1;
    gbench_counter_set(state, "first_us", first_us);
    gbench_counter_set(state, "p50_us", bench_quantile(failed_us, n, 0.50));
    gbench_counter_set(state, "p99_us", bench_quantile(failed_us, n, 0.99));
    gbench_counter_set(state, "whole_us", bench_quantile(whole_us, n, 0.50));
    gbench_counter_set(state, "whole_p99_us",
                       bench_quantile(whole_us, n, 0.99));
    return rc;
}

static void death_run(gbench_state *state, const void *arg)
{
    const struct death_case *c = arg;
    size_t n = bench_scaled(DEATHS), pending = bench_scaled(c->pending);
    double *us = bench_pages_new(2 * n * sizeof(*us));
    struct bench_promises promises = { 0 };
    shunt_pool *pool;
    int rc = -1;

    if (us == NULL || open_pool(&pool, 1) != 0) {
        gbench_fail(state, "open failed");
        free(us);
        return;
    }
    struct scene *s = shunt_pool_alloc(pool, sizeof(*s));
    if (c->pending == 0)
        pending = 0;
    if (s != NULL && bench_promises_init(&promises, pending) == 0)
        rc = bench_promises_make(&promises, pool, pending);
    if (rc == 0) {
        *s = (struct scene){ .killed = c->killed };
        rc = death_loop(state, pool, s, us, us + n);
    }
    if (rc != 0)
        gbench_fail(state, "a death was told wrongly, or not at all");
    (void)bench_promises_give(&promises);
    (void)bench_promises_release(&promises);
    bench_promises_fini(&promises);
    (void)shunt_pool_free(pool);
    free(us);
}

/* Tiny tasks until the time is up, and every so often one that dies; the sum of
 * those that did not is checked. How many there were, or -1. */
static int64_t kills_loop(shunt_pool *pool, struct scene *s,
                          shunt_future **handles, int64_t per_second)
{
    int64_t now = bench_now_ns(), tasks = 0, next = now;
    int64_t end = now + (int64_t)bench_scaled(KILLS_MS) * 1000000;

    for (; now < end; now = bench_now_ns()) {
        shunt_future *last = NULL;
        uint64_t sum = 0, out = 0;
        int rc = 0;

        if (per_second > 0 && now >= next) {
            last = shunt_submit(pool, die, &s);
            next += 1000000000 / per_second;
        }
        for (uint64_t i = 0; i < WINDOW; i++)
            handles[i] = shunt_submit(pool, bench_add_one, &i);
        for (size_t i = 0; i < WINDOW; i++) {
            rc |= shunt_take(handles[i], &out);
            sum += out;
        }
        if (last != NULL && shunt_await(last) != SHUNT_ECRASHED)
            return -1;
        shunt_release(last);
        if (rc != 0 || sum != (uint64_t)WINDOW * (WINDOW + 1) / 2)
            return -1;
        tasks += WINDOW;
    }
    return tasks;
}

static void kills_run(gbench_state *state, const void *arg)
{
    int64_t per_second = *(const int64_t *)arg, tasks = -1, ns = 1;
    shunt_future **handles = bench_pages_new(WINDOW * sizeof(*handles));
    shunt_pool *pool;

    if (handles == NULL || open_pool(&pool, 2) != 0) {
        gbench_fail(state, "open failed");
        free(handles);
        return;
    }
    struct scene *s = shunt_pool_alloc(pool, sizeof(*s));
    if (s != NULL)
        *s = (struct scene){ .killed = true };
    while (gbench_next(state)) {
        int64_t begin = bench_now_ns();
        tasks = s == NULL ? -1 : kills_loop(pool, s, handles, per_second);
        ns = bench_now_ns() - begin;
        gbench_time_add(state, ns);
    }
    (void)shunt_pool_free(pool);
    free(handles);
    if (tasks < 0)
        gbench_fail(state, "a task failed that did not die");
    gbench_counter_set(state, "per_ms", (double)tasks * 1e6 / (double)ns);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void bench_deaths_register(void)
{
    static const int64_t none = 0, ten = 10, hundred = 100;

    for (size_t i = 0; i < COUNT(death_cases); i++)
        gbench_register(death_cases[i].name, death_run, &death_cases[i],
                        (int64_t)bench_scaled(DEATHS));
    gbench_register("kills/0", kills_run, &none, 1);
    gbench_register("kills/10", kills_run, &ten, 1);
    gbench_register("kills/100", kills_run, &hundred, 1);
}
