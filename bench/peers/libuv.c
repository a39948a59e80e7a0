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
static uv_timer_t *timers;
static size_t timers_count;
static unsigned fired;
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

static void on_time(uv_timer_t *timer)
{
    (void)timer;
    fired++;
}

static void close_timer(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
}

/* libuv's timers count from when the loop's turn began; a timer that is to
 * count from now, as shunt's do, has uv_update_time before it. */
static int peer_timer_cancel(size_t n)
{
    uv_timer_t timer;
    int rc = uv_timer_init(&loop, &timer);

    for (size_t i = 0; i < n; i++) {
        uv_update_time(&loop);
        rc |= uv_timer_start(&timer, on_time, 10000, 0);
        rc |= uv_timer_stop(&timer);
    }
    close_timer(&timer);
    rc |= uv_run(&loop, UV_RUN_NOWAIT);
    return rc == 0 || timers_count > 0 ? 0 : -1;
}

static int peer_timer_wait(int ms)
{
    uv_timer_t timer;
    int rc = uv_timer_init(&loop, &timer);

    fired = 0;
    uv_update_time(&loop);
    rc |= uv_timer_start(&timer, on_time, (uint64_t)ms, 0);
    rc |= uv_run(&loop, UV_RUN_DEFAULT);
    close_timer(&timer);
    rc |= uv_run(&loop, UV_RUN_DEFAULT);
    return rc == 0 && fired == 1 ? 0 : -1;
}

static int peer_timers_new(size_t n)
{
    int rc = 0;

    timers = malloc(n * sizeof(*timers));
    timers_count = timers != NULL ? n : 0;
    uv_update_time(&loop);
    for (size_t i = 0; i < timers_count; i++) {
        rc |= uv_timer_init(&loop, &timers[i]);
        rc |= uv_timer_start(&timers[i], on_time, 3600000, 0);
    }
    return rc == 0 && timers != NULL ? 0 : -1;
}

static void peer_timers_free(void)
{
    for (size_t i = 0; i < timers_count; i++)
        close_timer(&timers[i]);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    free(timers);
    timers = NULL;
    timers_count = 0;
}

int main(int argc, char **argv)
{
    static const struct bench_system peer = {
        .open = peer_open,
        .close = peer_close,
        .prepare = peer_prepare,
        .window = peer_window,
        .ping = peer_ping,
        .timer_cancel = peer_timer_cancel,
        .timer_wait = peer_timer_wait,
        .timers_new = peer_timers_new,
        .timers_free = peer_timers_free,
    };

    return bench_main(argc, argv, &peer, NULL);
}
