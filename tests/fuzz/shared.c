/* SPDX-License-Identifier: MIT */
/*
 * fuzz/shared.c - where the fuzzer keeps what tasks read and write: graph,
 * plan, census.
 *
 * Idea. For process pools all of it lies in one mapping that is made before the
 * seed, so it has one address everywhere. What is taken from it is given back
 * all at once, when a graph is over: a task that was killed gives nothing back.
 * For thread pools it is the heap, where checkers see what is used too late.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "graph.h"

enum {
    SHARED_ALIGN = 64,
    SHARED_BYTES = 256 << 20
};

/* The beginning of the mapping. */
struct head {
    pid_t host;
    atomic_bool failed;
    atomic_size_t used; /* of the rest */
    struct census census;
};

static struct head *head;
static struct census census_of_threads;
struct census *census = &census_of_threads;

bool shared_open(void)
{
    void *at = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return false;
    head = at;
    head->host = getpid();
    census = &head->census;
    return true;
}

void *shared_new(size_t bytes)
{
    size_t size = (bytes + SHARED_ALIGN - 1) & ~(size_t)(SHARED_ALIGN - 1);
    size_t room = SHARED_BYTES - sizeof *head - SHARED_ALIGN, at;

    if (head == NULL)
        return calloc(1, bytes);
    at = atomic_fetch_add(&head->used, size);
    if (at > room || size > room - at)
        return NULL;
    return (char *)head +
           ((sizeof *head + SHARED_ALIGN) & ~(size_t)(SHARED_ALIGN - 1)) + at;
}

void shared_free(void *what)
{
    if (head == NULL)
        free(what);
}

void shared_reset(void)
{
    if (head == NULL)
        return;
    memset((char *)head + sizeof *head, 0,
           atomic_load(&head->used) + 2 * SHARED_ALIGN);
    atomic_store(&head->used, 0);
}

bool shared_is_host(void)
{
    return head == NULL || getpid() == head->host;
}

void shared_fail(void)
{
    if (head != NULL)
        atomic_store(&head->failed, true);
}

bool shared_has_failed(void)
{
    return head != NULL && atomic_load(&head->failed);
}
