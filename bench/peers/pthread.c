/* SPDX-License-Identifier: MIT */
/*
 * peers/pthread.c - a pool of POSIX threads as one writes it in an afternoon:
 * one queue under a mutex, one condition for its workers, and futures.
 *
 * Written to be fast for what it is, so that it is a fair peer:
 *   - the future is the queue's node: one malloc a task;
 *   - a worker is signalled only if one waits, and outside the lock;
 *   - a future's state is one atomic word, so that settling one for which
 *     nobody waits takes no lock, and getting a settled one neither.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "measure.h"
#include "workload.h"

enum {
    PENDING,
    AWAITED,
    SETTLED,
    WORKERS_MAX = 2
};

struct future {
    struct future *next;
    uint64_t (*fn)(uint64_t in);
    uint64_t in, out;
    atomic_uint state;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct future *head, **tail;
    unsigned waiting;
    bool closing;
    pthread_mutex_t settle_lock;
    pthread_cond_t settled;
    pthread_t workers[WORKERS_MAX];
    int worker_count;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
           .filled = PTHREAD_COND_INITIALIZER,
           .settle_lock = PTHREAD_MUTEX_INITIALIZER,
           .settled = PTHREAD_COND_INITIALIZER };

static _Thread_local struct future **handles;
static size_t handle_count;

static struct future *submit(uint64_t (*fn)(uint64_t in), uint64_t in)
{
    struct future *f = malloc(sizeof(*f));

    if (f == NULL)
        return NULL;
    *f = (struct future){ .fn = fn, .in = in };
    pthread_mutex_lock(&pool.lock);
    *pool.tail = f;
    pool.tail = &f->next;
    bool wake = pool.waiting > 0;
    pthread_mutex_unlock(&pool.lock);
    if (wake)
        pthread_cond_signal(&pool.filled);
    return f;
}

/* NULL once the pool closes and is empty. */
static struct future *next(void)
{
    pthread_mutex_lock(&pool.lock);
    while (pool.head == NULL && !pool.closing) {
        pool.waiting++;
        pthread_cond_wait(&pool.filled, &pool.lock);
        pool.waiting--;
    }
    struct future *f = pool.head;
    if (f != NULL) {
        pool.head = f->next;
        if (pool.head == NULL)
            pool.tail = &pool.head;
    }
    pthread_mutex_unlock(&pool.lock);
    return f;
}

static void settle(struct future *f)
{
    /* Whoever gets f may free it at once: not touched after this. */
    if (atomic_exchange(&f->state, SETTLED) != AWAITED)
        return;
    pthread_mutex_lock(&pool.settle_lock);
    pthread_cond_broadcast(&pool.settled);
    pthread_mutex_unlock(&pool.settle_lock);
}

static uint64_t take(struct future *f)
{
    if (atomic_load(&f->state) != SETTLED) {
        unsigned pending = PENDING;
        pthread_mutex_lock(&pool.settle_lock);
        if (atomic_compare_exchange_strong(&f->state, &pending, AWAITED))
            while (atomic_load(&f->state) != SETTLED)
                pthread_cond_wait(&pool.settled, &pool.settle_lock);
        pthread_mutex_unlock(&pool.settle_lock);
    }
    uint64_t out = f->out;
    free(f);
    return out;
}

static void *worker(void *arg)
{
    struct future *f;

    (void)arg;
    while ((f = next()) != NULL) {
        f->out = f->fn(f->in);
        settle(f);
    }
    return NULL;
}

static uint64_t add_one(uint64_t in)
{
    return in + 1;
}

static void peer_close(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.closing = true;
    pthread_mutex_unlock(&pool.lock);
    pthread_cond_broadcast(&pool.filled);
    while (pool.worker_count > 0)
        pthread_join(pool.workers[--pool.worker_count], NULL);
    free(handles);
    handles = NULL;
}

static int peer_open(int workers, int cpu)
{
    (void)cpu;
    pool.head = NULL;
    pool.tail = &pool.head;
    pool.closing = false;
    for (int i = 0; i < workers && i < WORKERS_MAX; i++) {
        if (pthread_create(&pool.workers[i], NULL, worker, NULL) != 0) {
            peer_close();
            return -1;
        }
        pool.worker_count++;
    }
    return 0;
}

static int peer_prepare(size_t n)
{
    handles = bench_pages_new(n * sizeof(struct future *));
    return handles != NULL ? 0 : -1;
}

static void peer_leave(void)
{
    free(handles);
    handles = NULL;
}

static int peer_window(uint64_t first, size_t n, uint64_t *sum_out)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        if ((handles[i] = submit(add_one, first + i)) == NULL)
            return -1;
    for (size_t i = 0; i < n; i++)
        sum += take(handles[i]);
    *sum_out = sum;
    return 0;
}

static int peer_ping(void)
{
    struct future *f = submit(add_one, 1);

    return f != NULL && take(f) == 2 ? 0 : -1;
}

static int peer_pending_new(size_t n)
{
    for (handle_count = 0; handle_count < n; handle_count++) {
        struct future *f = malloc(sizeof(*f));
        if (f == NULL)
            return -1;
        *f = (struct future){ .fn = add_one };
        handles[handle_count] = f;
    }
    return 0;
}

static void peer_pending_free(void)
{
    while (handle_count > 0)
        free(handles[--handle_count]);
}

int main(int argc, char **argv)
{
    static const struct bench_system peer = {
        .open = peer_open,
        .close = peer_close,
        .prepare = peer_prepare,
        .enter = peer_prepare,
        .leave = peer_leave,
        .window = peer_window,
        .ping = peer_ping,
        .pending_new = peer_pending_new,
        .pending_free = peer_pending_free,
    };

    return bench_main(argc, argv, &peer, NULL);
}
