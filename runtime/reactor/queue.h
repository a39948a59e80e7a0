/* SPDX-License-Identifier: MIT */
/*
 * reactor/queue.h - a completion queue, inside. See queue.c.
 */
#ifndef SH_REACTOR_QUEUE_H
#define SH_REACTOR_QUEUE_H

#include <pthread.h>

#include "reactor/entry.h"
#include "shunt/queue.h"

#ifndef SH_QUEUES /* the model checker has few */
#define SH_QUEUES 1024u /* indices; 0 stands for none */
#endif

/* Futures that are being added together: not to be taken before all are in. */
struct sh_batch {
    struct sh_batch *next;
    uint64_t number;
    struct sh_ready ready;
};

/* A task that waits; on its stack. */
struct sh_waiter {
    struct sh_waiter *next, *prev;
    shunt_promise *promise; /* given to wake it */
    unsigned pool;          /* the task's */
    bool called;            /* is in the list no more: somebody wakes it */
};

struct sh_queue {
    /* For the whole process, and whatever the place is used for. */
    _Alignas(SH_LINE) pthread_mutex_t lock;
    bool has_lock;
    _Atomic uint32_t bell; /* a futex: moves to call threads that wait */
    /* What settlers have brought: pushed by any, collected under lock. */
    _Alignas(SH_LINE) _Atomic(struct sh_entry *) arrived;
    _Atomic uint32_t armed; /* somebody wants to be told of that */

    _Alignas(SH_LINE) _Atomic uint64_t name; /* bit 62 | serial | index;
                                              * SH_NAME_* */
    _Atomic unsigned process; /* that it belongs to */

    /* All under lock. */
    struct sh_entries entries; /* all that is in it */
    struct sh_ready ready;
    struct sh_batch *batches; /* that are being added */
    uint64_t batch_number;    /* of the last one */
    int fd;                   /* -1: nobody has asked for it */
    struct sh_waiter *first, *last; /* tasks that wait and were not called */
    uint32_t sleeping;              /* threads that wait, called or not */
    uint32_t inside;                /* all who wait, called or not */
    uint32_t calls, calls_to_threads; /* of those inside: wake-ups under way */
    bool threads_turn; /* if both wait, the next one to call */
};

enum {
    SH_NAME_FREE,
    SH_NAME_BUSY /* being set up or freed */
};

/* Find a queue and lock it: 0, SHUNT_EINVAL or SHUNT_EFORKED. All that has
 * arrived is ready then. */
int sh_queue_lock(const shunt_queue *name, struct sh_queue **queue_out);

/* Leave the lock: if something is ready, and somebody waits, he is woken. */
void sh_queue_unlock(struct sh_queue *q);

/* Whom to wake, once the lock is left. */
struct sh_wake {
    struct sh_queue *thread; /* one of those who wait there */
    shunt_promise *promise;
    unsigned pool; /* of promise: we are its guest */
};

/* Under lock: if something is ready, choose who is to look. */
void sh_queue_call(struct sh_queue *q, struct sh_wake *wake);
/* Without it: wake him. */
void sh_queue_wake(const struct sh_wake *wake);

/* Under lock, which is left meanwhile: wake all who wait. */
void sh_queue_dismiss(struct sh_queue *q);

/* Under lock: a waiter has left. The last one of a queue that was freed leaves
 * its place to another. */
void sh_queue_leave(struct sh_queue *q);

/* Under lock: the future of an entry has settled. */
void sh_queue_ready(struct sh_queue *q, struct sh_entry *e);
/* Under lock: those of a batch that is complete. */
void sh_queue_ready_all(struct sh_queue *q, struct sh_ready *ready);
/* The same, called by the settler, of an entry that hangs on its future. */
void sh_queue_arrive(struct sh_call *call);

/* Entries that are worked on under the lock at a time. */
#define SH_QUEUE_CHUNK 64u

/* An entry that is in the queue no more, and was not handed out. */
struct sh_gone {
    struct sh_entry *entry;
    uint64_t handle;
    struct sh_hung hung;
    bool pending; /* it hangs on its future: a settler may have the entry */
};

/* Under lock: take out the future with this name, which was added with that
 * batch; 0: any that can be taken. False if it is not there. */
bool sh_queue_take_out(struct sh_queue *q, uint64_t handle, uint64_t batch,
                       struct sh_gone *gone);
/* Without it: see that the entry is freed, by us or by its settler. */
void sh_queue_let_go(const struct sh_gone *gone);

/* Under lock: take up to max of what is ready. The handles are lent still. */
int sh_queue_pull(struct sh_queue *q, shunt_event *events, size_t max);

/* Without it: make them the caller's. */
void sh_queue_hand_out(shunt_event *events, int n);

#endif /* SH_REACTOR_QUEUE_H */
