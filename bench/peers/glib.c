/* SPDX-License-Identifier: MIT */
/*
 * peers/glib.c - GLib's GThreadPool.
 *
 * It has no futures: a task writes its result into its item, and the last of
 * a window wakes the submitter. The pool is exclusive, so its threads exist
 * from the beginning and no other pool borrows them.
 */
#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>

#include "workload.h"

struct item {
    uint64_t in, out;
};

static GThreadPool *pool;
static struct item *items;
static GMutex lock;
static GCond finished;
static gint unfinished;
static bool all_finished;

static void run(gpointer data, gpointer user)
{
    struct item *item = data;

    (void)user;
    item->out = item->in + 1;
    if (!g_atomic_int_dec_and_test(&unfinished))
        return;
    g_mutex_lock(&lock);
    all_finished = true;
    g_cond_signal(&finished);
    g_mutex_unlock(&lock);
}

static int peer_open(int workers, int cpu)
{
    (void)cpu;
    items = NULL;
    pool = g_thread_pool_new(run, NULL, workers, TRUE, NULL);
    return pool != NULL ? 0 : -1;
}

static void peer_close(void)
{
    g_thread_pool_free(pool, FALSE, TRUE);
    free(items);
}

/* Not touched: the first round's first touch of its records counts. */
static int peer_prepare(size_t n)
{
    items = malloc(n * sizeof(*items));
    return items != NULL ? 0 : -1;
}

static bool run_all(struct item *some, uint64_t first, size_t n)
{
    bool pushed = true;

    all_finished = false;
    g_atomic_int_set(&unfinished, (gint)n);
    for (size_t i = 0; i < n; i++) {
        some[i].in = first + i;
        pushed &= g_thread_pool_push(pool, &some[i], NULL) != FALSE;
    }
    g_mutex_lock(&lock);
    while (!all_finished)
        g_cond_wait(&finished, &lock);
    g_mutex_unlock(&lock);
    return pushed;
}

static int peer_window(uint64_t first, size_t n, uint64_t *sum_out)
{
    uint64_t sum = 0;

    if (!run_all(items, first, n))
        return -1;
    for (size_t i = 0; i < n; i++)
        sum += items[i].out;
    *sum_out = sum;
    return 0;
}

static int peer_ping(void)
{
    struct item item = { 0, 0 };

    return run_all(&item, 1, 1) && item.out == 2 ? 0 : -1;
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
