/* SPDX-License-Identifier: MIT */
/*
 * ring_last.c - two consumers, of one hint and of two, and two producers.
 *
 * Edges: publish, vacate (queue/ring.c).
 */
#include "client.h"

#include "../../runtime/queue/ring.c"

#define CAPACITY 2

static struct sh_cell_of_ring cells[CAPACITY];
static struct sh_ring r;

static void *producer(void *hint)
{
    if (!sh_ring_push(&r, make_hint((uint64_t)(uintptr_t)hint), UINT64_MAX))
        take_hint((uint64_t)(uintptr_t)hint);
    return NULL;
}

static void *consumer(void *most)
{
    uint64_t hints[2];
    unsigned n = sh_ring_pop(&r, hints, (unsigned)(uintptr_t)most);

    for (unsigned i = 0; i < n; i++)
        take_hint(hints[i]);
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    uint64_t hints[2];
    unsigned n;

    sh_ring_init(&r, cells, CAPACITY);
    threads[0] = thread_start(producer, (void *)1);
    threads[1] = thread_start(producer, (void *)2);
    threads[2] = thread_start(consumer, (void *)1);
    threads[3] = thread_start(consumer, (void *)2);
    for (unsigned i = 0; i < 4; i++)
        thread_join(threads[i]);
    while ((n = sh_ring_pop(&r, hints, 2)) > 0)
        for (unsigned i = 0; i < n; i++)
            take_hint(hints[i]);
    assert(was_taken(1) && was_taken(2));
    assert(sh_ring_size(&r) == 0);
    return 0;
}
