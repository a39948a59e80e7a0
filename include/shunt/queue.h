/* SPDX-License-Identifier: MIT */
/*
 * shunt/queue.h - completion queues: futures of any pool go in, and come out
 * as they settle, each with a tag that says what it was for.
 *
 *     add --> [ pending ... ] --settled--> [ ready, oldest first ] --> take
 *                                            fd is readable
 *
 * It is the way from pools to an event loop, whose thread must not wait: the
 * loop watches the queue's descriptor and takes what is there. It is as well
 * how to handle many results one by one in the order in which they come:
 *
 *     rc = shunt_queue_add_all(queue, fs, n);
 *     while (rc == 0 && shunt_queue_size(queue) > 0) {
 *         shunt_event e;
 *         long value;
 *         if (shunt_queue_wait(queue, &e, 1, SHUNT_FOREVER) != 1)
 *             break;
 *         rc = shunt_take(e.future, &value);
 *         size_t which = shunt_event_index(&e);
 *     }
 *
 * Who owns a future: add takes its handle, which is SHUNT_EINVAL in every call
 * from then on, until an event or remove gives it back, under the same name.
 * An add that fails takes nothing.
 *
 * A queue belongs to the process and to no pool; pools may be freed before it
 * or after. A shunt_queue * is a name, as a shunt_pool * is: one that was
 * freed, or never was a queue, is SHUNT_EINVAL in every call, and the parent's
 * is SHUNT_EFORKED in a forked child. There are 1,023 queues at the most.
 *
 * A worker process is a process of its own: in a task of a process pool a queue
 * of the host is SHUNT_EINVAL. The task may make queues; they go with its
 * process. Futures of a process pool come out of a queue of the host as those
 * of any pool do.
 *
 * Unless its comment says otherwise, a function here never blocks, and may be
 * called from any thread and any task at any time, also while another frees
 * the queue.
 */
#ifndef SHUNT_QUEUE_H
#define SHUNT_QUEUE_H

#include "shunt/future.h"

SHUNT_BEGIN_

typedef struct shunt_queue shunt_queue;

/* A future that has settled, which is the taker's to take, join or release,
 * and the tag that it was added with. */
typedef struct shunt_event {
    shunt_future *future;
    void *tag;
} shunt_event;

/* Make a queue. Errors: SHUNT_EINVAL (queue_out NULL), SHUNT_ENOMEM,
 * SHUNT_EAGAIN (1,023 queues exist); *queue_out is then unwritten. */
SHUNT_API int shunt_queue_new(shunt_queue **queue_out);

/*
 * A descriptor that is readable exactly while something is ready: for poll,
 * epoll, or any event loop. Only watch it: it is the queue's, which reads and
 * writes it, and closes it when it is freed; take it out of the loop before.
 * Made by the first call; a queue without one makes no system calls to say
 * that it is ready.
 *
 * Errors:  SHUNT_EINVAL, SHUNT_EFORKED; SHUNT_ENOMEM; another -errno
 *          (-EMFILE, -ENFILE) if there are too many descriptors.
 */
SHUNT_MUST_USE SHUNT_API int shunt_queue_fd(const shunt_queue *queue);

/*
 * Put f into the queue: once it has settled, which it may have, it is ready.
 * Takes f, unless it fails. What becomes of f does not depend on its being
 * there: to cancel it, remove it first, or retain another handle. The same
 * future may be in queues twice, by two handles. A task that adds a future
 * which it got gives it away: it is not released when the task ends. (What
 * another task got is that one's, until it ends.)
 *
 * Errors:  SHUNT_EINVAL (queue, or f, which may be in a queue already),
 *          SHUNT_ENOMEM, SHUNT_EFORKED. f is then the caller's, as before.
 * Order:   what the caller wrote before is visible to whoever takes the event.
 */
SHUNT_API int shunt_queue_add(shunt_queue *queue, shunt_future *f, void *tag);

/*
 * Add n futures, each with its index as the tag: see shunt_event_index. All
 * or none: nothing of it can be taken before all are in, and if it fails all
 * of fs are the caller's, as before. (But if another thread frees the queue
 * meanwhile, some may have gone with it.) fs is only read during the call.
 * Errors: as shunt_queue_add.
 */
SHUNT_MUST_USE SHUNT_API int shunt_queue_add_all(shunt_queue *queue,
                                                 shunt_future *const *fs,
                                                 size_t n);

/* Of an event of shunt_queue_add_all: which of the futures it is. */
static inline size_t shunt_event_index(const shunt_event *event)
{
    return (size_t)(uintptr_t)event->tag;
}

/*
 * Take f, the name that was added, out again, settled or not. True: its tag
 * will never be delivered, and f is the caller's. False: it was delivered
 * before, or is not in this queue; nothing is changed then.
 */
SHUNT_API bool shunt_queue_remove(shunt_queue *queue, shunt_future *f);

/*
 * Take up to max of what is ready, oldest first, into events. Returns how
 * many, which may be 0. In a task, what is not taken, joined or released is
 * released when the task ends. If a pool was freed meanwhile, its futures are
 * SHUNT_EINVAL in every call, but their tags are delivered.
 *
 * Errors:  SHUNT_EINVAL (queue; events NULL or max 0), SHUNT_EFORKED.
 */
SHUNT_MUST_USE SHUNT_API int shunt_queue_take(shunt_queue *queue,
                                              shunt_event *events, size_t max);

/*
 * As shunt_queue_take, but waits until something is ready, at most ns
 * nanoseconds: 0 if the time ran out (at once for 0 or less). It also waits if
 * there is no future in the queue, since another thread may add one; see
 * shunt_queue_size.
 *
 * Blocks:  outside of tasks, sleeps the thread; inside a task, parks the
 *          task's stack, as shunt_await does.
 * Errors:  besides those: SHUNT_ECLOSED if the queue was freed meanwhile.
 *          Inside a task also SHUNT_ECANCELED, if nothing is ready and the
 *          task was asked to cancel, or its pool is drained and only such
 *          waits are left; SHUNT_ENOMEM.
 */
SHUNT_MUST_USE SHUNT_API int shunt_queue_wait(shunt_queue *queue,
                                              shunt_event *events, size_t max,
                                              int64_t ns);

/* How many futures are in the queue, settled or not; SHUNT_EINVAL,
 * SHUNT_EFORKED. */
SHUNT_API int64_t shunt_queue_size(const shunt_queue *queue);

/*
 * Free the queue, and release every future in it. Releasing does not cancel:
 * what is pending goes on. Whoever waits in the queue is woken, and gets
 * SHUNT_ECLOSED. Takes queue, unless it fails.
 *
 * Errors:  SHUNT_EINVAL (NULL, or freed before), SHUNT_EFORKED.
 */
SHUNT_API int shunt_queue_free(shunt_queue *queue);

SHUNT_END_

#endif /* SHUNT_QUEUE_H */
