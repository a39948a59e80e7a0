/* SPDX-License-Identifier: MIT */
/*
 * ring_lap.c - producers come round to cells that consumers are reading.
 *
 * Edges: publish, vacate (queue/ring.c). One cell: every push laps the one
 * before. A third producer may come by the head that another has seen.
 */
#include "client.h"

#include "../../runtime/queue/ring.c"

static struct sh_cell_of_ring cells[1];
static struct sh_ring r;

static void *producer(void *hint)
{
    if (!sh_ring_push(&r, make_hint((uint64_t)(uintptr_t)hint), UINT64_MAX))
        take_hint((uint64_t)(uintptr_t)hint);
    return NULL;
}

static void *consumer(void *unused)
{
    uint64_t hint;

    (void)unused;
    if (sh_ring_pop(&r, &hint, 1) > 0)
        take_hint(hint);
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    uint64_t hint;

    sh_ring_init(&r, cells, 1);
    assert(sh_ring_push(&r, make_hint(1), UINT64_MAX));
    threads[0] = thread_start(consumer, NULL);
    threads[1] = thread_start(consumer, NULL);
    threads[2] = thread_start(producer, (void *)2);
    threads[3] = thread_start(producer, (void *)3);
    for (unsigned i = 0; i < 4; i++)
        thread_join(threads[i]);
    while (sh_ring_pop(&r, &hint, 1) > 0)
        take_hint(hint);
    for (hint = 1; hint <= 3; hint++)
        assert(was_taken(hint));
    return 0;
}
