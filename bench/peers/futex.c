/* SPDX-License-Identifier: MIT */
/*
 * peers/futex.c - two threads and two futex words: the least that a round
 * trip through a sleeping thread can cost. And an array of records between
 * them: the least that a task costs whose record another CPU writes.
 *
 * Neither side spins. Each sleeps in the kernel on its own word and is woken
 * by the other, so one trip is two wakes and two waits.
 *
 * A window is written into records of two cache lines, of which each is written
 * by the caller, then by a worker, and read by the caller: as shunt's are. What
 * there is to do is told by a count, what is done by another.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workload.h"

enum {
    EMPTY,
    FULL,
    CLOSE
};

/* A cache line each, so that the two ends do not slow each other. */
static struct {
    _Alignas(64) atomic_uint request;
    _Alignas(64) atomic_uint reply;
} words;

/* A count that goes up, and how many sleep until it does. */
struct count {
    _Alignas(128) atomic_uint count;
    atomic_uint sleepers;
};

/* A task: the line that says what to do, and the one of its result. */
struct record {
    _Alignas(128) uint64_t in;
    _Alignas(64) uint64_t out;
};

enum {
    WORKERS_MAX = 2,
    BATCH = 16 /* records that are told at once */
};
#define QUIT UINT_MAX /* a count that no run reaches */

static struct count told, done[WORKERS_MAX];
static struct record *records;
static unsigned capacity, submitted;
static pthread_t threads[1 + WORKERS_MAX];
static int worker_count;

static unsigned sleep_beyond(struct count *c, unsigned seen)
{
    unsigned now;

    while ((now = atomic_load(&c->count)) == seen) {
        atomic_fetch_add(&c->sleepers, 1);
        if (atomic_load(&c->count) == seen)
            (void)syscall(SYS_futex, &c->count, FUTEX_WAIT_PRIVATE, seen, NULL,
                          NULL, 0);
        atomic_fetch_sub(&c->sleepers, 1);
    }
    return now;
}

static void wake_sleepers(struct count *c)
{
    if (atomic_load(&c->sleepers) != 0)
        (void)syscall(SYS_futex, &c->count, FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
                      NULL, 0);
}

static void tell(struct count *c, unsigned count)
{
    atomic_store(&c->count, count);
    wake_sleepers(c);
}

static unsigned sleep_until_filled(atomic_uint *word)
{
    unsigned value;

    while ((value = atomic_exchange(word, EMPTY)) == EMPTY)
        (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, EMPTY, NULL, NULL,
                      0);
    return value;
}

static void fill(atomic_uint *word, unsigned value)
{
    atomic_store(word, value);
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *answer(void *arg)
{
    (void)arg;
    while (sleep_until_filled(&words.request) == FULL)
        fill(&words.reply, FULL);
    return NULL;
}

/* Do every worker_count-th record. */
static void *work(void *arg)
{
    struct count *mine = arg;
    unsigned me = (unsigned)(mine - done), seen = 0, now;

    while ((now = sleep_beyond(&told, seen)) != QUIT) {
        for (; seen != now; seen++) {
            struct record *r = &records[seen % capacity];

            if (seen % (unsigned)worker_count == me)
                r->out = r->in + 1;
        }
        atomic_store(&mine->count, seen);
        if (atomic_load(&told.count) == seen)
            wake_sleepers(mine);
    }
    return NULL;
}

static void peer_close(void)
{
    fill(&words.request, CLOSE);
    tell(&told, QUIT);
    for (int i = 0; i <= worker_count; i++)
        pthread_join(threads[i], NULL);
    free(records);
    records = NULL;
}

static int peer_open(int workers, int cpu)
{
    (void)cpu;
    submitted = 0;
    atomic_store(&told.count, 0);
    for (int i = 0; i < WORKERS_MAX; i++)
        atomic_store(&done[i].count, 0);
    if (workers > WORKERS_MAX ||
        pthread_create(&threads[0], NULL, answer, NULL) != 0)
        return -1;
    worker_count = workers;
    for (int i = 0; i < workers; i++)
        if (pthread_create(&threads[1 + i], NULL, work, &done[i]) != 0)
            abort();
    return 0;
}

static int peer_prepare(size_t n)
{
    records = aligned_alloc(_Alignof(struct record), n * sizeof *records);
    capacity = (unsigned)n;
    if (records == NULL)
        return -1;
    memset(records, 0, n * sizeof *records);
    return 0;
}

static int peer_window(uint64_t first, size_t n, uint64_t *sum_out)
{
    uint64_t sum = 0;

    if (n > capacity)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct record *r = &records[submitted++ % capacity];

        r->in = first + i;
        r->out = 0;
        if ((i + 1) % BATCH == 0 || i + 1 == n)
            tell(&told, submitted);
    }
    for (int w = 0; w < worker_count; w++)
        for (unsigned now = atomic_load(&done[w].count); now != submitted;)
            now = sleep_beyond(&done[w], now);
    for (unsigned i = submitted - (unsigned)n; i != submitted; i++)
        sum += records[i % capacity].out;
    *sum_out = sum;
    return 0;
}

static int peer_ping(void)
{
    fill(&words.request, FULL);
    return sleep_until_filled(&words.reply) == FULL ? 0 : -1;
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
