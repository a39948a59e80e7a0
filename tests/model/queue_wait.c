/* SPDX-License-Identifier: MIT */
/*
 * queue_wait.c - a thread waits in a completion queue while one or two futures
 * settle.
 *
 * Edges: armed, arrived (reactor/queue.c). It does not sleep beside what has
 * arrived, whether that comes before it, after it, or as it falls asleep, and
 * it sees all that the settlers knew.
 */
#include "queue_client.h"

static struct sh_entry entries[2];
static int tags[2];
static int got;

static void *settler(void *i)
{
    tags[(uintptr_t)i] = 42;
    entries[(uintptr_t)i].call.fn(&entries[(uintptr_t)i].call);
    return NULL;
}

static void look_at(const shunt_event *events, int n)
{
    for (int i = 0; i < n; i++)
        assert(*(int *)events[i].tag == 42);
}

static void *waiter(void *unused)
{
    shunt_event events[2];

    (void)unused;
    /* Until it has what there is; bounded, since no more arrives. */
    while (got < SETTLERS) {
        int n = shunt_queue_wait(QUEUE_NAME, events, 2, INT64_MAX);

        assert(n > 0);
        look_at(events, n);
        got += n;
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
    unsigned n = 0;

    make_queue();
    for (uintptr_t i = 0; i < SETTLERS; i++)
        make_entry(&entries[i], &tags[i]);
    threads[n++] = thread_start(waiter, NULL);
    for (uintptr_t i = 0; i < SETTLERS; i++)
        threads[n++] = thread_start(settler, (void *)i);
    while (n > 0)
        thread_join(threads[--n]);
    assert(got == SETTLERS);
    assert(queue->ready.count == 0 && queue->entries.count == 0);
    assert(queue->inside == 0 && queue->calls == 0);
    return 0;
}
