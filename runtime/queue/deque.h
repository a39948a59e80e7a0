/* SPDX-License-Identifier: MIT */
/*
 * queue/deque.h - the work-stealing deque of one worker. Holds hints: names
 * of records that were ready when they were put in. See deque.c.
 */
#ifndef SH_QUEUE_DEQUE_H
#define SH_QUEUE_DEQUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"

#ifndef SH_DEQUE_SLOTS
#define SH_DEQUE_SLOTS 4096 /* a power of two */
#endif

enum sh_steal { SH_STEAL_EMPTY, SH_STEAL_LOST, SH_STEAL_GOT };

struct sh_deque {
    /* Thieves write this line. */
    _Alignas(SH_LINE) _Atomic int64_t top;
    /* The owner writes this one; top_seen is its own copy of top, which is
     * never ahead of the real one. */
    _Alignas(SH_LINE) _Atomic int64_t bottom;
    int64_t top_seen;
    _Alignas(SH_LINE) _Atomic uint64_t slots[SH_DEQUE_SLOTS];
};

/* Owner only. False if full; the deque is then unchanged. Seq_cst with
 * respect to the sleep protocol: a push is ordered before a look for idle
 * workers that follows it. */
bool sh_deque_push(struct sh_deque *d, uint64_t hint);

/* Owner only: push count hints at once, hints[0] to be popped first. Pushes
 * as many as fit and returns how many: they are the first ones. */
unsigned sh_deque_push_many(struct sh_deque *d, const uint64_t *hints,
                            unsigned count);

/* Owner only: the newest hint. False if empty, or if a thief was first at the
 * last one. */
bool sh_deque_pop(struct sh_deque *d, uint64_t *hint_out);

/* Any thread, the owner included: the oldest hint. LOST means that a race was
 * lost, not that the deque is empty. */
enum sh_steal sh_deque_steal(struct sh_deque *d, uint64_t *hint_out);

/* The owner has died, anywhere in one of the above: what another owner finds is
 * in order. Hints may be lost. */
void sh_deque_mend(struct sh_deque *d);

/* Any thread: how many hints there were at some moment during the call. */
unsigned sh_deque_size(struct sh_deque *d);

/* Owner only: the hint that would be popped after skip more, or 0. */
static inline uint64_t sh_deque_glance(struct sh_deque *d, int64_t skip)
{
    int64_t at = sh_load_rlx(&d->bottom) - 1 - skip; /* relaxed: our own */

    if (at < d->top_seen)
        return 0;
    return sh_load_rlx(&d->slots[at & (SH_DEQUE_SLOTS - 1)]); /* relaxed: a
                                                               * guess */
}

#endif /* SH_QUEUE_DEQUE_H */
