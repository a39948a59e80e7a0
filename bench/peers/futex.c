/* SPDX-License-Identifier: MIT */
/*
 * peers/futex.c - two threads and two futex words: the least that a round
 * trip through a sleeping thread can cost.
 *
 * Neither side spins. Each sleeps in the kernel on its own word and is woken
 * by the other, so one trip is two wakes and two waits.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
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
static pthread_t thread;

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

static int peer_open(int workers, int cpu)
{
    (void)workers;
    (void)cpu;
    return pthread_create(&thread, NULL, answer, NULL) == 0 ? 0 : -1;
}

static void peer_close(void)
{
    fill(&words.request, CLOSE);
    pthread_join(thread, NULL);
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
        .ping = peer_ping,
    };

    return bench_main(argc, argv, &peer, NULL);
}
