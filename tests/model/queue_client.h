/* SPDX-License-Identifier: MIT */
/*
 * queue_client.h - record_client.h with a completion queue of a few entries,
 * which are reserved handles: what a handle goes through is not the point.
 *
 * It includes how entries arrive, are collected and taken, and how threads
 * wait. It stands in for the index (nobody looks anything up), for the
 * descriptor (a plain word, under the queue's lock), and for what tasks wait
 * by (there are none).
 */
#ifndef SH_MODEL_QUEUE_CLIENT_H
#define SH_MODEL_QUEUE_CLIENT_H

#define SH_QUEUES 2
#include "record_client.h"

/* The checker knows no kinds of mutexes; nobody makes a queue here. */
#define PTHREAD_MUTEX_ADAPTIVE_NP 0
#define pthread_mutexattr_settype(attributes, kind) 0
#define pthread_mutexattr_init(attributes) ((void)(attributes), 0)
#define pthread_mutexattr_destroy(attributes) 0

#include "../../runtime/reactor/queue.c"
#include "../../runtime/reactor/ready.c"
#include "../../runtime/reactor/wait.c"

static struct sh_queue *const queue = &queues[1];
#define QUEUE_NAME ((shunt_queue *)(uintptr_t)(NAME_BIT | 1))

/* As shunt_queue_new leaves it. */
static void make_queue(void)
{
    queue->fd = -1;
    pthread_mutex_init(&queue->lock, NULL);
    sh_self()->own = 1;
    sh_store_rlx(&queue->process, 1); /* relaxed: before the threads */
    sh_store_rlx(&queue->name, NAME_BIT | 1); /* relaxed: before the threads */
}

/* An entry that hangs on a future; tag is a plain word behind it. */
static void make_entry(struct sh_entry *e, int *tag)
{
    sh_entry_init(e, sh_handle_of(sh_handle_failed(0, SHUNT_EAGAIN)), tag, 0);
    e->call.fn = sh_queue_arrive;
    e->queue = queue;
    queue->entries.count++;
}

/* ---- the index, whose order is no matter ---- */

void sh_entries_remove(struct sh_entries *t, struct sh_entry *e)
{
    (void)e;
    t->count--;
}

void sh_entries_give(struct sh_entries *t, struct sh_entry *e)
{
    (void)t;
    e->state = SH_ENTRY_GONE; /* plain, as free(3) is */
}

void sh_entry_free(struct sh_entry *e)
{
    (void)e;
    assert(0);
}

/* ---- the descriptor ---- */

static bool readable;

int sh_descriptor_new(bool is)
{
    readable = is;
    return 3;
}

void sh_descriptor_set(int fd, bool is)
{
    assert(fd == 3 && readable == !is);
    readable = is;
}

#endif /* SH_MODEL_QUEUE_CLIENT_H */
