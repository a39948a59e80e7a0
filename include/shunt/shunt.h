/* SPDX-License-Identifier: MIT */
/*
 * shunt/shunt.h - tasks on a work-stealing pool, and futures that compose.
 *
 *     #include <shunt/shunt.h>
 *
 *     struct span { long from, to; };
 *     static int add_up(const struct span *in, long *out)
 *     {
 *         for (long i = in->from; i < in->to; i++)
 *             *out += i;
 *         return 0;
 *     }
 *     SHUNT_TASK(add_up, struct span, long)
 *
 *     shunt_pool *pool;
 *     int rc = shunt_pool_new(&pool, NULL);
 *     shunt_future *f = shunt_submit(pool, add_up, &(struct span){ 0, 10 });
 *     long sum;
 *     rc = shunt_take(f, &sum);
 *     shunt_pool_free(pool);
 *
 * errors.h     codes and error records
 * task.h       describing functions
 * pool.h       pools, and the switch between threads and processes
 * future.h     submit, await, take; handles; promises
 * compose.h    then, recover, finally; when_all, when_any, ...; map; retry
 * loops.h      loops whose parts run side by side
 * pipeline.h   items that go through stages, a bounded number at a time
 * lookahead.h  a map over a sequence, a bounded number of elements ahead
 * scope.h      tasks that are waited for, or cancelled, together
 * queue.h      completion queues: for event loops, and results as they come
 * blocking.h   tasks that wait in the kernel, and who runs meanwhile
 * memory.h     memory that lives as long as a future
 * observe.h    what a pool has done, and what it is at
 * auto.h       what a pool has measured of its tasks, and where they run
 * forkjoin.h   recursion at the cost of a call; to be included by itself
 */
#ifndef SHUNT_SHUNT_H
#define SHUNT_SHUNT_H

#include "shunt/auto.h"      /* IWYU pragma: export */
#include "shunt/blocking.h"  /* IWYU pragma: export */
#include "shunt/compose.h"   /* IWYU pragma: export */
#include "shunt/lookahead.h" /* IWYU pragma: export */
#include "shunt/loops.h"     /* IWYU pragma: export */
#include "shunt/memory.h"    /* IWYU pragma: export */
#include "shunt/observe.h"   /* IWYU pragma: export */
#include "shunt/pipeline.h"  /* IWYU pragma: export */
#include "shunt/queue.h"     /* IWYU pragma: export */
#include "shunt/scope.h"     /* IWYU pragma: export */

#endif /* SHUNT_SHUNT_H */
