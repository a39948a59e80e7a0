/* SPDX-License-Identifier: MIT */
/*
 * peers/libuv.c - libuv's work queue: uv_queue_work from the loop's thread,
 * whose after-work callback, back on the loop, gets the result.
 *
 * libuv makes its threads once in a process, at the first uv_queue_work, so a
 * second benchmark of one run with another number of workers cannot open.
 * bench/run gives every benchmark a process.
 */
#define _GNU_SOURCE /* for uv.h */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "workload.h"

struct item {
    uv_work_t work; /* first: what the callbacks get */
    uint64_t in, out;
};

static uv_loop_t loop;
static struct item *items;
static uint64_t total;
static int workers_made;

static void run(uv_work_t *work)
{
    struct item *item = (struct item *)work;

    item->out = item->in + 1;
}

static void after(uv_work_t *work, int status)
{
    const struct item *item = (const struct item *)work;

    if (status == 0)
        total += item->out;
}

static int run_all(struct item *some, uint64_t first, size_t n)
{
    int rc = 0;

    total = 0;
    for (size_t i = 0; i < n; i++) {
        some[i].in = first + i;
        rc |= uv_queue_work(&loop, &some[i].work, run, after);
    }
    rc |= uv_run(&loop, UV_RUN_DEFAULT);
    return rc == 0 ? 0 : -1;
}

static int peer_ping(void)
{
    struct item item;

    return run_all(&item, 1, 1) == 0 && total == 2 ? 0 : -1;
}

static int peer_open(int workers, int cpu)
{
    char number[16];

    (void)cpu;
    items = NULL;
    if (workers_made != 0 && workers_made != workers)
        return -1;
    workers_made = workers;
    snprintf(number, sizeof(number), "%d", workers);
    if (uv_os_setenv("UV_THREADPOOL_SIZE", number) != 0 ||
        uv_loop_init(&loop) != 0)
        return -1;
    return peer_ping(); /* makes the threads, where this thread is pinned */
}

static void peer_close(void)
{
    (void)uv_loop_close(&loop);
    free(items);
}

/* Not touched: the first round's first touch of its records counts. */
static int peer_prepare(size_t n)
{
    items = malloc(n * sizeof(*items));
    return items != NULL ? 0 : -1;
}

static int peer_window(uint64_t first, size_t n, uint64_t *sum_out)
{
    int rc = run_all(items, first, n);

    *sum_out = total;
    return rc;
}

int main(int argc, char **argv)
{
    static const struct bench_system peer = {
        .open = peer_open,
        .close = peer_close,
        .prepare = peer_prepare,
        .window = peer_window,
        .ping = peer_ping,
    };

    return bench_main(argc, argv, &peer, NULL);
}
