/* SPDX-License-Identifier: MIT */
/*
 * queue/deque.c - the work-stealing deque: one owner, any number of thieves.
 *
 *            top                    bottom
 *             v                       v
 *      .  .  | t3 | t4 | t5 | t6 | .  .       index i lives in slot i % SLOTS
 *      thieves take here      the owner pushes and pops here
 *
 * Idea. The owner works at the bottom without a lock. Owner and thief meet
 * only at the last hint; whoever then moves top first has it. Top never goes
 * back, and always top <= bottom + 1. Slots hold hints and not pointers, so a
 * deque may live in a shared arena. Read push, steal, and only then pop.
 *
 * A thief takes one hint at a time: moving top by more than one is unsound,
 * since the owner pops without looking at top while more than one is left.
 * A batch is a loop of steals, see worker/find.c.
 *
 * Edges. Every memory order below names its edge; every edge has two ends.
 *   publish   push: write bottom -> steal: read bottom    the slot is filled
 *   vacate    steal: move top    -> push: read top        the slot was read
 *   last      pop: write bottom, read top || steal: read top, read bottom,
 *             all seq_cst: at the last hint, one of them sees the other
 *   sleep     push: write bottom || sync/sleep.c: set idle, then look at all
 *             deques, seq_cst: either the push is seen or the idle bit is
 *
 * Crash. Whoever dies between moving an index and claiming the record leaves
 * a record that is READY but in no deque. Recovery finds it in the task
 * table and does not trust the indices.
 *
 * After Chase and Lev (SPAA 2005) and Le et al. (PPoPP 2013), at fixed size:
 * what a full deque does not take is READY and in no queue, and its pusher
 * says so: worker/find.c looks for it in the table.
 */
#include "queue/deque.h"

static _Atomic uint64_t *slot(struct sh_deque *d, int64_t index)
{
    return &d->slots[(uint64_t)index % SH_DEQUE_SLOTS];
}

/* How many more hints fit, looking at top only when it seems too few. */
static int64_t room(struct sh_deque *d, int64_t bottom, int64_t wanted)
{
    if (SH_DEQUE_SLOTS - (bottom - d->top_seen) < wanted)
        d->top_seen = sh_load_acq(&d->top); /* acquire: vacate */
    SH_ASSERT(d->top_seen <= bottom);
    return SH_DEQUE_SLOTS - (bottom - d->top_seen);
}

SH_HOT bool sh_deque_push(struct sh_deque *d, uint64_t hint)
{
    int64_t bottom = sh_load_rlx(&d->bottom); /* relaxed: only we write it */

    SH_ASSERT(hint != 0);
    if (room(d, bottom, 1) < 1)
        return false;
    sh_store_rlx(slot(d, bottom), hint);  /* relaxed: see next line */
    sh_store_sc(&d->bottom, bottom + 1);  /* seq_cst: publish, sleep */
    return true;
}

unsigned sh_deque_push_many(struct sh_deque *d, const uint64_t *hints,
                            unsigned count)
{
    int64_t bottom = sh_load_rlx(&d->bottom); /* relaxed: only we write it */
    int64_t fits = room(d, bottom, count);
    unsigned n = fits < (int64_t)count ? (unsigned)fits : count;

    for (unsigned i = 0; i < n; i++) {
        SH_ASSERT(hints[i] != 0);
        /* relaxed: published by the store of bottom below */
        sh_store_rlx(slot(d, bottom + (int64_t)(n - 1 - i)), hints[i]);
    }
    if (n > 0)
        sh_store_sc(&d->bottom, bottom + n); /* seq_cst: publish, sleep */
    return n;
}

SH_HOT enum sh_steal sh_deque_steal(struct sh_deque *d, uint64_t *hint_out)
{
    int64_t top = sh_load_sc(&d->top);       /* seq_cst: last */
    int64_t bottom = sh_load_sc(&d->bottom); /* seq_cst: last, publish, sleep */

    SH_ASSERT(top <= bottom + 1);
    if (top >= bottom)
        return SH_STEAL_EMPTY;

    /* Read first: as soon as top moves, the owner may reuse the slot. */
    uint64_t hint = sh_load_rlx(slot(d, top)); /* relaxed: CAS validates it */
    if (!sh_cas_sc(&d->top, &top, top + 1))    /* seq_cst: last, vacate */
        return SH_STEAL_LOST;

    SH_ASSERT(hint != 0);
    *hint_out = hint;
    return SH_STEAL_GOT;
}

SH_HOT bool sh_deque_pop(struct sh_deque *d, uint64_t *hint_out)
{
    int64_t bottom = sh_load_rlx(&d->bottom) - 1; /* relaxed: our own */

    /* top never goes back, so what top_seen shows as empty is empty. */
    if (bottom < d->top_seen)
        return false;

    /* Claim, then look. Thieves look at top first, so one of us sees it. */
    sh_store_sc(&d->bottom, bottom);   /* seq_cst: last */
    int64_t top = sh_load_sc(&d->top); /* seq_cst: last */
    SH_ASSERT(top <= bottom + 1);
    d->top_seen = top;

    bool got = top < bottom; /* out of every thief's reach */
    if (!got) {
        int64_t expected = top;

        if (top == bottom) /* the last hint: race for it */
            got = sh_cas_sc(&d->top, &expected, top + 1); /* seq_cst: last */
        d->top_seen = bottom + 1;
        sh_store_rlx(&d->bottom, bottom + 1); /* relaxed: publishes nothing */
    }
    if (got) {
        *hint_out = sh_load_rlx(slot(d, bottom)); /* relaxed: our own write */
        SH_ASSERT(*hint_out != 0);
    }
    return got;
}

SH_HOT unsigned sh_deque_size(struct sh_deque *d)
{
    int64_t top = sh_load_sc(&d->top);       /* seq_cst: sleep */
    int64_t bottom = sh_load_sc(&d->bottom); /* seq_cst: sleep */

    return bottom > top ? (unsigned)(bottom - top) : 0;
}

void sh_deque_mend(struct sh_deque *d)
{
    int64_t top = sh_load_sc(&d->top); /* seq_cst: last */

    /* It died in pop, at the last hint. Thieves see an empty deque, so that top
     * does not move. */
    if (sh_load_rlx(&d->bottom) < top) /* relaxed: nobody writes it */
        sh_store_sc(&d->bottom, top);  /* seq_cst: publish, sleep */
}
