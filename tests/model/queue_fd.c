/* SPDX-License-Identifier: MIT */
/*
 * queue_fd.c - a completion queue has a descriptor, and futures settle while a
 * thread takes.
 *
 * Edges: armed, arrived (reactor/queue.c). When nobody is in the queue any
 * more, its descriptor is readable if something is in it that was not taken:
 * whoever sleeps on it would miss it otherwise. And never if not.
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

static void *taker(void *unused)
{
    (void)unused;
    for (int turn = 0; turn < TURNS; turn++) {
        shunt_event events[2];
        int n = shunt_queue_take(QUEUE_NAME, events, 2);

        for (int i = 0; i < n; i++)
            assert(*(int *)events[i].tag == 42);
        got += n;
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[3];

    make_queue();
    for (uintptr_t i = 0; i < 2; i++)
        make_entry(&entries[i], &tags[i]);
    assert(shunt_queue_fd(QUEUE_NAME) == 3 && !readable);
    for (uintptr_t i = 0; i < 2; i++)
        threads[i] = thread_start(settler, (void *)i);
    threads[2] = thread_start(taker, NULL);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    assert(readable == (got < 2));
    got += shunt_queue_take(QUEUE_NAME, (shunt_event[2]){ { NULL, NULL } }, 2);
    assert(got == 2 && !readable);
    return 0;
}
