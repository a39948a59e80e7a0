/* SPDX-License-Identifier: MIT */
/*
 * queue/ring.c - a bounded queue of hints, many producers, many consumers.
 *
 *           head                 tail
 *            v                    v
 *      .  . | h5 | h6 | h7 | (h8) | .  .      (h8) is taken, not yet written
 *      consumers take here         producers claim here
 *
 * Idea. A producer claims an index by moving tail, writes the hint, and then
 * writes the cell's turn, which says that index i is there. A consumer reads
 * what is there and then moves head over it; if head has moved meanwhile, it
 * drops what it read. Consumers write nothing but head, so one that dies
 * leaves no cell behind that others would wait for, and taking a batch costs
 * one CAS. (In Vyukov's queue, from which the turns come, consumers write the
 * cells too.)
 *
 * The edge to sleep starts at tail and not at the turn, which saves a second
 * full barrier a push: an idle worker that sees tail ahead of head does not
 * go to sleep, though the hint may be a moment away.
 *
 * Edges.
 *   publish   push: write turn  -> pop: read turn      the hint is there
 *   vacate    pop: move head    -> push: read head     the cell was read;
 *             push: write head_seen -> push: read head_seen hands it on
 *   sleep     push: move tail || sync/sleep.c: set idle, then size, seq_cst:
 *             either the push is seen or the idle bit is
 *
 * Crash. A producer that dies between tail and turn would stop the queue:
 * producers are threads of the host, whose death ends the pool. A consumer
 * that dies after moving head leaves records that are READY and in no queue:
 * recovery finds them in the task table.
 */
#include "queue/ring.h"

void sh_ring_init(struct sh_ring *r, struct sh_cell_of_ring *cells,
                  uint64_t capacity)
{
    SH_ASSERT(capacity > 0);
    SH_ASSERT((capacity & (capacity - 1)) == 0);
    sh_store_rlx(&r->tail, 0);      /* relaxed: nobody else has it yet */
    sh_store_rlx(&r->head, 0);      /* relaxed: nobody else has it yet */
    sh_store_rlx(&r->head_seen, 0); /* relaxed: nobody else has it yet */
    r->cells = cells;
    r->capacity = capacity;
}

static struct sh_cell_of_ring *cell(struct sh_ring *r, uint64_t index)
{
    return &r->cells[index & (r->capacity - 1)];
}

/* Whether index at may be written: the lap before has been read there. */
static bool vacant(struct sh_ring *r, uint64_t at)
{
    uint64_t head = sh_load_acq(&r->head_seen); /* acquire: vacate */

    if ((int64_t)(at - head) < (int64_t)r->capacity)
        return true;
    head = sh_load_acq(&r->head);        /* acquire: vacate */
    sh_store_rel(&r->head_seen, head);   /* release: vacate */
    return (int64_t)(at - head) < (int64_t)r->capacity;
}

SH_HOT bool sh_ring_push(struct sh_ring *r, uint64_t hint, uint64_t limit)
{
    uint64_t at = sh_load_rlx(&r->tail); /* relaxed: the CAS validates it */

    SH_ASSERT(hint != 0);
    do {
        if (at >= limit || !vacant(r, at))
            return false;
    } while (!sh_cas_sc(&r->tail, &at, at + 1)); /* seq_cst: sleep */

    struct sh_cell_of_ring *c = cell(r, at);

    sh_store_rlx(&c->hint, hint);  /* relaxed: see next line */
    sh_store_rel(&c->turn, at + 1); /* release: publish */
    return true;
}

SH_HOT unsigned sh_ring_pop(struct sh_ring *r, uint64_t *hints_out,
                            unsigned max)
{
    uint64_t head = sh_load_acq(&r->head); /* acquire: vacate */

    SH_ASSERT(max > 0);
    for (;;) {
        unsigned n = 0;

        while (n < max) {
            struct sh_cell_of_ring *c = cell(r, head + n);

            if (sh_load_acq(&c->turn) != head + n + 1) /* acquire: publish */
                break;
            hints_out[n++] = sh_load_rlx(&c->hint); /* relaxed: as turn */
        }
        if (n == 0)
            return 0;
        if (sh_cas_acqrel(&r->head, &head, head + n)) /* release: vacate */
            return n;
    }
}

SH_HOT uint64_t sh_ring_size(struct sh_ring *r)
{
    uint64_t head = sh_load_sc(&r->head); /* seq_cst: sleep */
    uint64_t tail = sh_load_sc(&r->tail); /* seq_cst: sleep */

    return tail > head ? tail - head : 0;
}
