/* SPDX-License-Identifier: MIT */
/*
 * queue/split.c - the split deque: one owner, any number of thieves.
 *
 *            top          split            the owner's end
 *             v             v                    v
 *      s | s | p | p  | p | o | o | o | o | o | . .
 *     taken     public        private
 *
 * Idea. The owner pushes and pops beyond the split without a word of it: the
 * frames there are nobody else's. Only when a thief has asked, by a limit that
 * the next spawn runs into, the owner moves the split up. Thieves take at top,
 * by one CAS of both ends; the owner moves the split down by another. Between
 * the two ends of one word there is no race to be thought of.
 *
 * What was taken is synced in the order of a stack, so when the owner comes to
 * a taken frame all below it were taken as well, and nothing is above: both
 * ends go back to that slot once the frame has run. So top goes back, and a
 * thief may be late by many rounds: it reads the slot when it has moved top,
 * and not before, since the word may be as it was and the slot not.
 *
 * Edges. A frame that was taken is given back by its own word: worker/frames.c.
 *   publish  publish: move split -> steal: move top      the slot is filled,
 *            and the frame in it. All other changes of ends are
 *            read-modify-writes, which hand it on, but for the reset of who
 *            joins: then nothing is public
 *   asked    calm: write limit_, then change ends -> offers: read ends, then
 *            write limit_, which comes after
 *   sleep    publish: move split || sync/sleep.c: set idle, then look at all
 *            ends, seq_cst: either the frame is seen or the idle bit is
 *
 * Crash. It is in memory of one process.
 *
 * After van Dijk and van de Pol (MuCoCoS 2014), whose split moves with a flag
 * and a fence; here a thief never shrinks what the owner has.
 */
#include "queue/split.h"

static uint32_t top_of(uint64_t ends)
{
    return (uint32_t)ends;
}

static uint32_t split_of(uint64_t ends)
{
    return (uint32_t)(ends >> 32);
}

static uint64_t ends_of(uint32_t split, uint32_t top)
{
    return (uint64_t)split << 32 | top;
}

static uint32_t index_of(const struct sh_split *s, const shunt_slot_ *at)
{
    return (uint32_t)(at - s->slots);
}

void sh_split_init(struct sh_split *s, shunt_slot_ *slots)
{
    s->slots = slots;
    s->owner.split_ = slots;
    s->owner.open_ = 0;
    s->owner.deque_ = s;
    sh_store_rlx(&s->ends, 0); /* relaxed: nobody takes from it */
    sh_split_calm(s);
}

SH_COLD void sh_split_publish(struct sh_split *s, shunt_slot_ *at)
{
    uint32_t split = index_of(s, s->owner.split_);
    uint32_t more = (index_of(s, at) - split + 1) / 2;

    SH_ASSERT(more > 0);
    SH_ASSERT(split + more <= SH_SPLIT_SLOTS);
    sh_add_sc(&s->ends, ends_of(more, 0)); /* seq_cst: publish, sleep, asked */
    s->owner.split_ += more;
}

SH_COLD bool sh_split_reclaim(struct sh_split *s, shunt_slot_ *at)
{
    uint64_t ends = sh_load_rlx(&s->ends); /* relaxed: the CAS validates it */
    uint32_t i = index_of(s, at), split;

    SH_ASSERT(i < split_of(ends));
    do {
        if (i < top_of(ends))
            return false;
        split = top_of(ends) + (i - top_of(ends)) / 2;
        /* relaxed: what comes back is our own */
    } while (!sh_cas_rlx(&s->ends, &ends, ends_of(split, top_of(ends))));
    s->owner.split_ = s->slots + split;
    return true;
}

void sh_split_joined(struct sh_split *s, shunt_slot_ *at)
{
    uint32_t i = index_of(s, at);

    /* relaxed: ours, since nothing is public */
    SH_ASSERT(sh_load_rlx(&s->ends) == ends_of(i + 1, i + 1));
    sh_store_rel(&s->ends, ends_of(i, i)); /* release: asked */
    s->owner.split_ = at;
}

void sh_split_renew(struct sh_split *s, shunt_slot_ *at)
{
    /* relaxed: nobody takes from it */
    sh_store_rlx(&s->ends, ends_of(index_of(s, at), index_of(s, at)));
    s->owner.split_ = at;
}

shunt_slot_ sh_split_steal(struct sh_split *s)
{
    uint64_t ends = sh_load_rlx(&s->ends); /* relaxed: the CAS validates it */

    if (top_of(ends) >= split_of(ends) ||
        !sh_cas_acq(&s->ends, &ends, ends + 1)) /* acquire: publish */
        return NULL;
    return s->slots[top_of(ends)];
}

bool sh_split_offers(struct sh_split *s)
{
    uint64_t ends = sh_load_sc(&s->ends); /* seq_cst: sleep, asked */

    return top_of(ends) < split_of(ends);
}

void sh_split_ask(struct sh_split *s)
{
    /* relaxed: a wish, which is repeated */
    if (sh_load_bare_rlx(&s->owner.limit_) != 0)
        sh_store_bare_rlx(&s->owner.limit_, 0); /* relaxed: as above */
}

void sh_split_calm(struct sh_split *s)
{
    s->eager = SH_SPLIT_EAGER;
    /* relaxed: what is published next orders it, for who looks and then asks
     * (asked) */
    sh_store_bare_rlx(&s->owner.limit_, (uintptr_t)(s->slots + SH_SPLIT_SLOTS));
}
