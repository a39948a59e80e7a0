/* SPDX-License-Identifier: MIT */
/*
 * peers/futex_processes.c - two processes and two futex words in memory that
 * they share: the least that a round trip to another process that sleeps can
 * cost. As peers/futex.c, but for where the words are and who answers. With a
 * payload the other one copies that before it answers.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

enum {
    EMPTY,
    FULL,
    LOADED, /* with a payload */
    LADEN,  /* with all of them */
    CLOSE
};

/* A cache line each, so that the two ends do not slow each other. */
struct words {
    _Alignas(64) atomic_uint request;
    _Alignas(64) atomic_uint reply;
    _Alignas(4096) unsigned char there[BENCH_PAYLOADS * BENCH_PAYLOAD];
    _Alignas(4096) unsigned char back[BENCH_PAYLOADS * BENCH_PAYLOAD];
};

static struct words *words;
static pid_t child;

static unsigned sleep_until_filled(atomic_uint *word)
{
    unsigned value;

    while ((value = atomic_exchange(word, EMPTY)) == EMPTY)
        (void)syscall(SYS_futex, word, FUTEX_WAIT, EMPTY, NULL, NULL, 0);
    return value;
}

static void fill(atomic_uint *word, unsigned value)
{
    atomic_store(word, value);
    (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static _Noreturn void answer(void)
{
    unsigned what;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    while ((what = sleep_until_filled(&words->request)) != CLOSE) {
        if (what == LOADED)
            memcpy(words->back, words->there, BENCH_PAYLOAD);
        if (what == LADEN)
            memcpy(words->back, words->there, BENCH_PAYLOADS * BENCH_PAYLOAD);
        fill(&words->reply, FULL);
    }
    _exit(0);
}

static int peer_open(int workers, int cpu)
{
    (void)workers;
    (void)cpu;
    words = mmap(NULL, sizeof(*words), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (words == MAP_FAILED)
        return -1;
    child = fork();
    if (child == 0)
        answer();
    return child > 0 ? 0 : -1;
}

static void peer_close(void)
{
    fill(&words->request, CLOSE);
    (void)waitpid(child, NULL, 0);
    (void)munmap(words, sizeof(*words));
}

static int peer_ping(void)
{
    fill(&words->request, FULL);
    return sleep_until_filled(&words->reply) == FULL ? 0 : -1;
}

static int peer_payload(const unsigned char *source, unsigned *last_out)
{
    memcpy(words->there, source, BENCH_PAYLOAD);
    fill(&words->request, LOADED);
    if (sleep_until_filled(&words->reply) != FULL)
        return -1;
    *last_out = words->back[BENCH_PAYLOAD - 1];
    return 0;
}

static int peer_payloads(const unsigned char *source, unsigned *sum_out)
{
    memcpy(words->there, source, BENCH_PAYLOADS * BENCH_PAYLOAD);
    fill(&words->request, LADEN);
    if (sleep_until_filled(&words->reply) != FULL)
        return -1;
    for (size_t i = 1; i <= BENCH_PAYLOADS; i++)
        *sum_out += words->back[i * BENCH_PAYLOAD - 1];
    return 0;
}

int main(int argc, char **argv)
{
    static const struct bench_system peer = {
        .rows = BENCH_PROCESSES,
        .open = peer_open,
        .close = peer_close,
        .ping = peer_ping,
        .payload = peer_payload,
        .payloads = peer_payloads,
    };

    return bench_main(argc, argv, &peer, NULL);
}
