/* SPDX-License-Identifier: MIT */
/*
 * shunt/system.c - shunt's side of the workloads that its peers have too.
 *
 * Every task has a future, and every result is taken through it, one by one
 * and in order. With --mode=processes the workers are processes, and the rows
 * are those of processes; all else is the same.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "shunt/cases.h"
#include "workload.h"

static shunt_pool *pool;
static _Thread_local shunt_future **handles;
static struct bench_promises pending;

int bench_mode = SHUNT_THREADS;

int bench_add_one(const uint64_t *in, uint64_t *out)
{
    *out = *in + 1;
    return 0;
}
SHUNT_TASK_DEFINE(bench_add_one)

static int system_open(int workers, int cpu)
{
    (void)cpu; /* the workers inherit it */
    return shunt_pool_new(
        &pool, &(shunt_options){ .mode = bench_mode, .workers = workers });
}

static void system_close(void)
{
    (void)shunt_pool_free(pool);
    free(handles);
    handles = NULL;
    bench_promises_fini(&pending);
}

static int system_enter(size_t n)
{
    handles = bench_pages_new(n * sizeof(shunt_future *));
    return handles != NULL ? 0 : -1;
}

static void system_leave(void)
{
    free(handles);
    handles = NULL;
}

static int system_prepare(size_t n)
{
    if (system_enter(n) != 0 || bench_promises_init(&pending, n) != 0)
        return -1;
    return 0;
}

static int system_window(uint64_t first, size_t n, uint64_t *sum_out)
{
    uint64_t sum = 0, out = 0;
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t in = first + i;
        handles[i] = shunt_submit(pool, bench_add_one, &in);
    }
    for (size_t i = 0; i < n; i++) {
        rc |= shunt_take(handles[i], &out);
        sum += out;
    }
    *sum_out = sum;
    return rc == 0 ? 0 : -1;
}

static int system_ping(void)
{
    uint64_t in = 1, out = 0;
    int rc = shunt_take(shunt_submit(pool, bench_add_one, &in), &out);

    return rc == 0 && out == 2 ? 0 : -1;
}

/* One copy there, by whoever submits, and one back, by the task. */
static int copy_payload(unsigned char *const *in, unsigned char **out)
{
    *out = shunt_alloc(BENCH_PAYLOAD);
    if (*out == NULL)
        return -1;
    memcpy(*out, *in, BENCH_PAYLOAD);
    return 0;
}
SHUNT_TASK(copy_payload, unsigned char *, unsigned char *)

static int system_payload(const unsigned char *source, unsigned *last_out)
{
    unsigned char *there = shunt_pool_alloc(pool, BENCH_PAYLOAD), *back;
    int rc;

    if (there == NULL)
        return -1;
    memcpy(there, source, BENCH_PAYLOAD);
    rc = shunt_take(shunt_submit(pool, copy_payload, &there), &back);
    if (rc == 0) {
        *last_out = back[BENCH_PAYLOAD - 1];
        rc = shunt_free(back);
    }
    return rc | shunt_free(there);
}

static int system_payloads(const unsigned char *source, unsigned *sum_out)
{
    unsigned char *there[BENCH_PAYLOADS], *back;
    shunt_future *fs[BENCH_PAYLOADS];
    size_t n = 0;
    int rc = 0;

    for (; n < BENCH_PAYLOADS; n++) {
        there[n] = shunt_pool_alloc(pool, BENCH_PAYLOAD);
        if (there[n] == NULL)
            break;
        memcpy(there[n], source + n * BENCH_PAYLOAD, BENCH_PAYLOAD);
        fs[n] = shunt_submit(pool, copy_payload, &there[n]);
    }
    rc = n == BENCH_PAYLOADS ? 0 : -1;
    for (size_t i = 0; i < n; i++) {
        int taken = shunt_take(fs[i], &back);

        if (taken == 0) {
            *sum_out += back[BENCH_PAYLOAD - 1];
            taken = shunt_free(back);
        }
        rc |= taken | shunt_free(there[i]);
    }
    return rc;
}

struct branch {
    uint64_t first, leaves;
};

static int add_leaves(const struct branch *in, uint64_t *sum_out);
SHUNT_TASK(add_leaves, struct branch, uint64_t)

static int add_leaves(const struct branch *in, uint64_t *sum_out)
{
    shunt_future *children[10];
    uint64_t part = in->leaves / 10;

    if (in->leaves == 1) {
        *sum_out = in->first;
        return 0;
    }
    for (uint64_t i = 0; i < 10; i++)
        children[i] = shunt_submit(
            NULL, add_leaves, &(struct branch){ in->first + i * part, part });
    for (uint64_t i = 0; i < 10; i++) {
        uint64_t sum = 0;
        int rc = shunt_take(children[i], &sum);
        if (rc != 0)
            return rc;
        *sum_out += sum;
    }
    return 0;
}

static int system_tree(uint64_t first, uint64_t leaves, uint64_t *sum_out)
{
    struct branch root = { first, leaves };

    return shunt_take(shunt_submit(pool, add_leaves, &root), sum_out);
}

static int system_chain_build(size_t n)
{
    return bench_chain_build(pool, n);
}

static int system_all(uint64_t first, size_t n, uint64_t *sum_out)
{
    const shunt_results *results;
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t in = first + i;
        handles[i] = shunt_submit(pool, bench_add_one, &in);
    }
    shunt_future *all = shunt_when_all(handles, n);
    int rc = shunt_await(all);
    if (rc == 0 && (results = shunt_peek(all, shunt_results)) != NULL)
        for (size_t i = 0; i < n; i++)
            sum += *shunt_peek(results->futures[i], uint64_t);
    *sum_out = sum;
    return shunt_release(all) == 0 ? rc : -1;
}

static int system_pingpong(uint64_t n, uint64_t *out)
{
    return bench_pingpong(pool, n, out);
}

static int system_pending_new(size_t n)
{
    return bench_promises_make(&pending, pool, n);
}

static void system_pending_free(void)
{
    (void)bench_promises_give(&pending);
    (void)bench_promises_release(&pending);
}

static int system_timer_cancel(size_t n)
{
    return bench_timer_cancel(pool, n);
}

static int system_timer_wait(int ms)
{
    return bench_timer_wait(pool, ms);
}

static int system_timers_new(size_t n)
{
    return bench_timers_new(pool, n);
}

static void cases_register(void)
{
    bench_deadline_register();
    bench_inputs_register();
    bench_pending_register();
    bench_queue_register();
    bench_forks_register();
}

static void process_cases_register(void)
{
    bench_deaths_register();
    bench_forks_register();
}

/* Whether the workers are to be processes; the flag is taken out. */
static bool wants_processes(int *argc, char **argv)
{
    int kept = 1;
    bool found = false;

    for (int i = 1; i < *argc; i++)
        if (strcmp(argv[i], "--mode=processes") == 0)
            found = true;
        else
            argv[kept++] = argv[i];
    argv[kept] = NULL;
    *argc = kept;
    return found;
}

int main(int argc, char **argv)
{
    struct bench_system shunt = {
        .rows = BENCH_BOTH,
        .open = system_open,
        .close = system_close,
        .prepare = system_prepare,
        .enter = system_enter,
        .leave = system_leave,
        .window = system_window,
        .ping = system_ping,
        .payload = system_payload,
        .payloads = system_payloads,
        .tree = system_tree,
        .chain_build = system_chain_build,
        .chain_run = bench_chain_run,
        .all = system_all,
        .pingpong = system_pingpong,
        .pending_new = system_pending_new,
        .pending_free = system_pending_free,
        .timer_cancel = system_timer_cancel,
        .timer_wait = system_timer_wait,
        .timers_new = system_timers_new,
        .timers_free = bench_timers_free,
    };

    if (!wants_processes(&argc, argv))
        return bench_main(argc, argv, &shunt, cases_register);
    bench_mode = SHUNT_PROCESSES;
    shunt.rows = BENCH_PROCESSES;
    return bench_main(argc, argv, &shunt, process_cases_register);
}
