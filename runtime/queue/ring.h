/* SPDX-License-Identifier: MIT */
/*
 * queue/ring.h - the injector: hints on their way from threads outside the
 * pool to its workers, first in, first out. See ring.c.
 */
#ifndef SH_QUEUE_RING_H
#define SH_QUEUE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"

struct sh_cell_of_ring {
    _Atomic uint64_t turn; /* index + 1 of the hint that is in it */
    _Atomic uint64_t hint;
};

struct sh_ring {
    /* Producers write this line. head_seen is never ahead of head. */
    _Alignas(SH_LINE) _Atomic uint64_t tail;
    _Atomic uint64_t head_seen;
    /* Consumers write this one. */
    _Alignas(SH_LINE) _Atomic uint64_t head;
    _Alignas(SH_LINE) struct sh_cell_of_ring *cells;
    uint64_t capacity; /* a power of two */
};

/* cells holds capacity zeroed cells and belongs to the caller. */
void sh_ring_init(struct sh_ring *r, struct sh_cell_of_ring *cells,
                  uint64_t capacity);

/* Any thread. False if the ring is full, or if as many hints as limit have
 * been pushed in all: the ring is then unchanged. Seq_cst with respect to the
 * sleep protocol. */
bool sh_ring_push(struct sh_ring *r, uint64_t hint, uint64_t limit);

/* Any thread: take up to max hints, oldest first. 0 also when the next hint
 * is still being written. */
unsigned sh_ring_pop(struct sh_ring *r, uint64_t *hints_out, unsigned max);

/* Any thread: how many hints there are, those being written included. */
uint64_t sh_ring_size(struct sh_ring *r);

#endif /* SH_QUEUE_RING_H */
