/* SPDX-License-Identifier: MIT */
/*
 * peers/memcpy.c - a loop over memory that processes share: copy there, and
 * copy on. Nobody else is told, so it is the least that payloads can cost.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "workload.h"

/* Of all payloads; one at a time uses the first. */
static unsigned char *there, *back;

static unsigned char *new_shared(void)
{
    void *p = mmap(NULL, BENCH_PAYLOADS * BENCH_PAYLOAD, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static int peer_open(int workers, int cpu)
{
    (void)workers;
    (void)cpu;
    there = new_shared();
    back = new_shared();
    return there != NULL && back != NULL ? 0 : -1;
}

static void peer_close(void)
{
    (void)munmap(there, BENCH_PAYLOADS * BENCH_PAYLOAD);
    (void)munmap(back, BENCH_PAYLOADS * BENCH_PAYLOAD);
}

/* What was copied is copied: the compiler must not see that nobody reads it. */
static void settle(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

static int peer_payload(const unsigned char *source, unsigned *last_out)
{
    memcpy(there, source, BENCH_PAYLOAD);
    settle(there);
    memcpy(back, there, BENCH_PAYLOAD);
    settle(back);
    *last_out = back[BENCH_PAYLOAD - 1];
    return 0;
}

static int peer_payloads(const unsigned char *source, unsigned *sum_out)
{
    for (size_t at = 0; at < BENCH_PAYLOADS * BENCH_PAYLOAD;
         at += BENCH_PAYLOAD) {
        memcpy(there + at, source + at, BENCH_PAYLOAD);
        settle(there);
    }
    for (size_t at = 0; at < BENCH_PAYLOADS * BENCH_PAYLOAD;
         at += BENCH_PAYLOAD) {
        memcpy(back + at, there + at, BENCH_PAYLOAD);
        settle(back);
        *sum_out += back[at + BENCH_PAYLOAD - 1];
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct bench_system peer = {
        .rows = BENCH_PROCESSES,
        .open = peer_open,
        .close = peer_close,
        .payload = peer_payload,
        .payloads = peer_payloads,
    };

    return bench_main(argc, argv, &peer, NULL);
}
