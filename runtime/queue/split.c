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
 *            read-modify-writes, which hand it on, but for the stores of who
 *            joins, leaves, or has forked: then nothing is public
 *   asked    calm: write limit_, then change ends -> offers: read ends, then
 *            write limit_, which comes after
 *   sleep    publish: move split || sync/sleep.c: set idle, then look at all
 *            ends, seq_cst: either the frame is seen or the idle bit is
 *   claimed  steal_as: write the claim, then move top -> the next thief: read
 *            ends, then make the claim sure, then move top -> bury: read ends,
 *            then the claim
 *
 * Crash. In a process pool it lies in the arena. Its owner may die: the frames
 * lie on its stack, and stay there (worker/doom.c). A thief may die with a
 * frame that it has taken: ends names the last one, by a tag that this one does
 * not use again as long as it stands there, and whoever comes next makes the
 * claim of that one sure before the name is overwritten. All other changes keep
 * the name, but for renew, in a child that shares it with nobody.
 *
 * After van Dijk and van de Pol (MuCoCoS 2014), whose split moves with a flag
 * and a fence; here a thief never shrinks what the owner has.
 */
#include "queue/split.h"

#define SLOT_BITS 17u
#define THIEF_BITS 8u
#define TAG_BITS 22u
#define THIEF_AT SLOT_BITS
#define TAG_AT (THIEF_AT + THIEF_BITS)
#define SPLIT_AT (TAG_AT + TAG_BITS)
#define SURE ((uint64_t)1 << 63)
#define MADE ((uint64_t)1 << 62) /* of each claim, also of tag 0 to slot 0 */

_Static_assert(SH_SPLIT_SLOTS < 1u << SLOT_BITS, "room for the ends");
_Static_assert(SH_SPLIT_THIEVES < 1u << THIEF_BITS, "room for a thief");

static uint32_t field(uint64_t word, unsigned at, unsigned bits)
{
    return (uint32_t)(word >> at) & ((1u << bits) - 1);
}

static uint32_t top_of(uint64_t ends)
{
    return field(ends, 0, SLOT_BITS);
}

static uint32_t split_of(uint64_t ends)
{
    return field(ends, SPLIT_AT, SLOT_BITS);
}

/* The same last thief, and these ends. */
static uint64_t with_ends(uint64_t ends, uint32_t split, uint32_t top)
{
    uint64_t thief = ends &
                     (((uint64_t)1 << SPLIT_AT) - ((uint64_t)1 << THIEF_AT));

    return (uint64_t)split << SPLIT_AT | thief | top;
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
    /* relaxed: nobody takes from it */
    sh_store_rlx(&s->ends, with_ends(sh_load_rlx(&s->ends), 0, 0));
    sh_split_calm(s);
}

SH_COLD void sh_split_publish(struct sh_split *s, shunt_slot_ *at)
{
    uint32_t split = index_of(s, s->owner.split_);
    uint32_t more = (index_of(s, at) - split + 1) / 2;

    SH_ASSERT(more > 0);
    SH_ASSERT(split + more <= SH_SPLIT_SLOTS);
    sh_add_sc(&s->ends,
              (uint64_t)more << SPLIT_AT); /* seq_cst: publish, sleep, asked */
    s->owner.split_ += more;
}

SH_COLD bool sh_split_reclaim(struct sh_split *s, shunt_slot_ *at)
{
    uint64_t ends = sh_load_rlx(&s->ends); /* relaxed: the CAS validates it */
    uint32_t i = index_of(s, at), split;
    uint64_t less;

    SH_ASSERT(i < split_of(ends));
    do {
        if (i < top_of(ends))
            return false;
        split = top_of(ends) + (i - top_of(ends)) / 2;
        less = with_ends(ends, split, top_of(ends));
        /* relaxed: what comes back is our own */
    } while (!sh_cas_rlx(&s->ends, &ends, less));
    s->owner.split_ = s->slots + split;
    return true;
}

void sh_split_joined(struct sh_split *s, shunt_slot_ *at)
{
    uint64_t ends = sh_load_rlx(&s->ends); /* relaxed: ours, since nothing is
                                            * public */
    uint32_t i = index_of(s, at);

    SH_ASSERT(ends == with_ends(ends, i + 1, i + 1));
    sh_store_rel(&s->ends, with_ends(ends, i, i)); /* release: asked */
    s->owner.split_ = at;
}

void sh_split_renew(struct sh_split *s, shunt_slot_ *at)
{
    /* relaxed: nobody takes from it */
    sh_store_rlx(&s->ends, with_ends(0, index_of(s, at), index_of(s, at)));
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

/* -- worker processes -- */

/* A claim, or of ends what it says: the part that they have in common is the
 * tag. */
static bool is_named(uint64_t ends, unsigned worker, uint64_t claim)
{
    return field(ends, THIEF_AT, THIEF_BITS) == worker + 1 &&
           field(ends, TAG_AT, TAG_BITS) == field(claim, SLOT_BITS, TAG_BITS);
}

/* Who moved top last may have died since: his name is about to be overwritten.
 */
static void vouch(struct sh_split *s, uint64_t ends, unsigned worker)
{
    uint32_t thief = field(ends, THIEF_AT, THIEF_BITS);
    uint64_t claim;

    if (thief == 0 || thief == worker + 1)
        return;
    claim = sh_load_acq(&s->claims[thief - 1]); /* acquire: claimed */
    if (claim != 0 && is_named(ends, thief - 1, claim))
        /* acq_rel: claimed. If it fails it has been settled, or is sure */
        (void)sh_cas_acqrel(&s->claims[thief - 1], &claim, claim | SURE);
}

shunt_slot_ sh_split_steal_as(struct sh_split *s, unsigned worker, uint32_t tag)
{
    uint64_t ends = sh_load_acq(&s->ends); /* acquire: claimed */
    uint32_t top = top_of(ends);
    uint64_t by = (uint64_t)field(tag, 0, TAG_BITS) << TAG_AT |
                  (uint64_t)(worker + 1) << THIEF_AT;
    uint64_t claim = MADE | (uint64_t)field(tag, 0, TAG_BITS) << SLOT_BITS |
                     top;

    SH_ASSERT(worker < SH_SPLIT_THIEVES);
    if (top >= split_of(ends))
        return NULL;
    /* Tags have come round since we took here last: with the next one. */
    if (is_named(ends, worker, claim))
        return NULL;
    vouch(s, ends, worker);
    sh_store_rel(&s->claims[worker], claim); /* release: claimed */
    if (sh_cas_acqrel(&s->ends, &ends,       /* acq_rel: publish, claimed */
                      (uint64_t)split_of(ends) << SPLIT_AT | by | (top + 1)))
        return s->slots[top];
    sh_split_settled(s, worker);
    return NULL;
}

void sh_split_settled(struct sh_split *s, unsigned worker)
{
    sh_store_rel(&s->claims[worker], 0); /* release: claimed */
}

shunt_slot_ sh_split_bury(struct sh_split *s, unsigned worker)
{
    uint64_t claim = sh_load_acq(&s->claims[worker]); /* acquire: claimed */
    bool taken;

    if (claim == 0)
        return NULL;
    taken = is_named(sh_load_acq(&s->ends), worker, claim); /* acquire: claimed
                                                             */
    /* After ends, where another name may be by now: who wrote that has made it
     * sure before. acquire: claimed */
    claim = sh_load_acq(&s->claims[worker]);
    sh_split_settled(s, worker);
    return taken || (claim & SURE) != 0 ? s->slots[field(claim, 0, SLOT_BITS)]
                                        : NULL;
}

uint32_t sh_split_taken(struct sh_split *s)
{
    return top_of(sh_load_acq(&s->ends)); /* acquire: claimed */
}

uint32_t sh_split_close(struct sh_split *s)
{
    uint64_t ends = sh_load_acq(&s->ends); /* acquire: claimed */

    /* acq_rel: claimed */
    while (!sh_cas_acqrel(&s->ends, &ends,
                          with_ends(ends, top_of(ends), top_of(ends))))
        continue;
    return top_of(ends);
}

/* -- wishes -- */

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
