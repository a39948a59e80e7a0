/* SPDX-License-Identifier: MIT */
/*
 * memory/table.c - free lists of a type-stable table.
 *
 *     thread 1: out -> . -> .     in -> . -> . -> .      fresh [ . . . )
 *     thread 2: out               in -> .                fresh [ . )
 *     shared:   chains -> (128 items) -> (128 items)     used = 4,711
 *
 * Idea. A thread hands out of one list and takes back into another; when the
 * second has 128 items it becomes the first, or goes to the shared stack of
 * chains. So a thread that only takes and one that only gives meet every 128
 * items, and an item rests for about as many uses before it is used again,
 * which keeps its generation from coming round soon. Untouched items are
 * handed out in runs, in address order.
 *
 * What a free item holds is never cleared: a reader with a stale name looks
 * at its generation and finds it gone.
 *
 * Edges.
 *   chain   give: push a chain -> take: pop a chain     the links are there
 *   grow    take: move used -> used: read used          (a bound only)
 *   done    change a word after the dead: note its mark, then change ->
 *           mend: read the word, then the note
 *   death   process/recover.c
 *
 * Crash. What a process kept are lists that its death leaves whole. An item is
 * handed out after its bytes say that it is in use, and put into a list before
 * they say that it is free: so if that is missing, it is the first of its list.
 * Of items whose bytes do not tell, the one that is in no list is in hand.
 * Recovery sets that right, and gives the lists to the others.
 *
 * Whoever is about to push or to pop a chain, or to claim a run, says so, and
 * by which tag, and leaves its mark with that in the word that it changes. Who
 * changes the word next first notes, by the mark, which tag it has seen there.
 * So of the dead it is known whether they had come to change it; who has no mark
 * loses what it was moving. A death between the charge and the growth leaves a
 * run charged that nobody has.
 */
#include "memory/table.h"

#include "base/fault.h"
#include "memory/arena.h"
#include "memory/heap.h"

#define FRESH 64u /* items of a run */
#define NOTES_BYTES (2 * SH_MARKS * sizeof(uint32_t))

static _Atomic uint32_t *chain_of(struct sh_table *t, uint32_t index)
{
    return (_Atomic uint32_t *)((char *)sh_table_at(t, index) + t->chain_at);
}

bool sh_table_init(struct sh_table *t, struct sh_arena *arena, size_t stride,
                   size_t link_at, size_t chain_at, uint32_t capacity)
{
    SH_ASSERT(link_at + sizeof(uint32_t) <= stride);
    SH_ASSERT(chain_at + sizeof(uint32_t) <= stride);
    SH_ASSERT(stride % sizeof(uint32_t) == 0);
    SH_ASSERT(capacity <= SH_INDEX_MAX);
    /* Each change of pages is a mapping more, of which a process has 65,530,
     * and a program may have 4,095 pools: records alone are worth it. */
    t->items = sh_arena_map(arena, stride * capacity + NOTES_BYTES,
                            stride > SH_LINE ? SH_PAGES_TABLE
                                             : SH_PAGES_RESERVE);
    if (t->items == NULL)
        return false;
    t->notes = (_Atomic uint32_t *)(void *)(t->items + stride * capacity);
    t->arena = arena;
    t->stride = stride;
    t->link_at = link_at;
    t->chain_at = chain_at;
    t->capacity = capacity;
    t->heap = NULL;
    sh_store_rlx(&t->used, 1);   /* relaxed: nobody else has it yet */
    sh_store_rlx(&t->chains, 0); /* relaxed: nobody else has it yet */
    return true;
}

void sh_table_fini(struct sh_table *t)
{
    if (t->items == NULL)
        return;
    if (t->heap != NULL)
        sh_heap_refund(t->heap, t->stride * (sh_table_used(t) - 1));
    sh_arena_unmap(t->arena, t->items, t->stride * t->capacity + NOTES_BYTES);
    t->items = NULL;
}

/* -- marks -- */

static _Atomic uint32_t *moved_of(const struct sh_table *t)
{
    return t->notes + SH_MARKS;
}

static uint32_t mark_in(uint32_t word)
{
    return word >> 24;
}

/* What is about to be changed was made so by who has that mark: who is told
 * here, if it dies, whether it was. Later changes are not forgotten. */
static void note_done(_Atomic uint32_t *done, uint32_t mark, uint32_t tag)
{
    uint32_t now;

    if (SH_LIKELY(mark == 0))
        return;
    now = sh_load_rlx(&done[mark]); /* relaxed: the CAS validates it */
    while ((int32_t)(tag - now) > 0 &&
           !sh_cas_rel(&done[mark], &now, tag)) /* release: done */
        continue;
}

static uint64_t changed(uint64_t old, uint32_t mark, uint32_t index)
{
    return ((old >> 32) + 1) << 32 | (uint64_t)mark << 24 | index;
}

/* About to change chains from old, by a chain that begins so; relaxed, and in
 * this order, since a death is a fence. */
static void say_moving(struct sh_table *t, struct sh_cache *c, uint64_t old,
                       uint32_t index)
{
    note_done(moved_of(t), mark_in((uint32_t)old), (uint32_t)(old >> 32));
    if (SH_LIKELY(c == NULL || c->mark == 0))
        return;
    c->moving_tag = (uint32_t)(old >> 32) + 1;
    /* So that what is noted is not half a turn of tags behind.
     * relaxed: what others have noted of us came before old (done), or is about
     * a change that is yet to come */
    sh_store_rlx(&moved_of(t)[c->mark], c->moving_tag - 1);
    sh_store_bare_rel(&c->moving, index); /* release: death */
}

static void unsay_moving(struct sh_cache *c)
{
    if (c != NULL)
        sh_store_bare_rel(&c->moving, SH_NONE); /* release: death */
}

/* -- chains -- */

/* c is whose chain it was, for what is noted; or NULL. */
static void push_chain(struct sh_table *t, struct sh_cache *c, uint32_t index)
{
    uint64_t old = sh_load_acq(&t->chains); /* acquire: done */
    uint32_t mark = c != NULL ? c->mark : 0;

    do {
        /* relaxed: as CAS */
        sh_store_rlx(chain_of(t, index), (uint32_t)old & SH_INDEX);
        say_moving(t, c, old, index);
    } while (!sh_cas_acqrel(&t->chains, &old,
                            changed(old, mark, index))); /* release: chain;
                                                          * acq_rel: done */
}

/* Pop one as the list to hand out of. */
static void pop_chain(struct sh_table *t, struct sh_cache *c)
{
    uint64_t old = sh_load_acq(&t->chains); /* acquire: chain */

    while (((uint32_t)old & SH_INDEX) != SH_NONE) {
        uint32_t index = (uint32_t)old & SH_INDEX;
        /* relaxed: if somebody took it meanwhile, the tag fails the CAS */
        uint32_t rest = sh_load_rlx(chain_of(t, index));

        say_moving(t, c, old, index);
        if (sh_cas_acqrel(&t->chains, &old,
                          changed(old, c->mark, rest))) { /* acquire: chain;
                                                           * release: done */
            sh_store_bare_rel(&c->out, index); /* release: death */
            break;
        }
    }
    unsay_moving(c);
}

/* -- fresh items -- */

/* Claim a run of items that nobody has used yet. */
static bool grow(struct sh_table *t, struct sh_cache *c)
{
    uint32_t word = sh_load_rlx(&t->used); /* relaxed: the CAS validates it */
    uint32_t used = word & SH_INDEX, end;

    if (sh_fault() || used >= t->capacity ||
        (t->heap != NULL && !sh_heap_charge(t->heap, t->stride * FRESH)))
        return false;
    do {
        used = word & SH_INDEX;
        end = used + FRESH < t->capacity ? used + FRESH : t->capacity;
        note_done(t->notes, mark_in(word), used);
        if (SH_UNLIKELY(c->mark != 0)) {
            c->growing_from = used;
            sh_store_bare_rel(&c->growing, end); /* release: death */
        }
    } while (used < end &&
             !sh_cas_rel(&t->used, &word, c->mark << 24 | end)); /* release:
                                                                  * grow, done */
    if (t->heap != NULL)
        sh_heap_refund(t->heap, t->stride * (FRESH - (end - used)));
    if (used < end) {
        c->fresh = used;
        c->fresh_end = end;
    }
    sh_store_bare_rel(&c->growing, 0); /* release: death */
    return used < end;
}

uint32_t sh_table_peek_more(struct sh_table *t, struct sh_cache *c)
{
    SH_ASSERT(c->out == SH_NONE);
    pop_chain(t, c);
    if (c->out != SH_NONE)
        return c->out;
    if (grow(t, c))
        return c->fresh;
    if (c->in != SH_NONE) { /* nothing but what came back here */
        c->out = c->in;
        sh_store_bare_rel(&c->in, SH_NONE); /* release: death */
        c->in_count = 0;
    }
    return c->out;
}

void sh_table_give_more(struct sh_table *t, struct sh_cache *c)
{
    SH_ASSERT(c->in_count == SH_CHAIN);
    uint32_t chain = c->in;

    if (c->out == SH_NONE) {
        c->out = chain;
        sh_store_bare_rel(&c->in, SH_NONE); /* release: death */
    } else {
        /* Of whom nothing is noted, it is rather lost than there twice. */
        if (SH_LIKELY(c->mark == 0))
            c->in = SH_NONE;
        push_chain(t, c, chain);
        sh_store_bare_rel(&c->in, SH_NONE); /* release: death */
        unsay_moving(c);
    }
    c->in_count = 0;
}

/* Whether the change that c says was made; the last one of all is not noted. */
static bool was_moved(struct sh_table *t, const struct sh_cache *c)
{
    /* First: if another has come since, that was noted before. */
    uint64_t now = sh_load_acq(&t->chains); /* acquire: done */

    return (mark_in((uint32_t)now) == c->mark &&
            (uint32_t)(now >> 32) == c->moving_tag) ||
           /* acquire: done */
           sh_load_acq(&moved_of(t)[c->mark]) == c->moving_tag;
}

static bool was_grown(struct sh_table *t, const struct sh_cache *c)
{
    uint32_t now = sh_load_acq(&t->used); /* acquire: done. As above */

    return now == (c->mark << 24 | c->growing) ||
           /* acquire: done */
           sh_load_acq(&t->notes[c->mark]) == c->growing;
}

/* What its thread was at with the table, it has done or not. */
static void mend_moves(struct sh_table *t, struct sh_cache *c)
{
    /* Of two, which it had not come so far as to tell apart, it has in what it
     * pushes. */
    if (c->moving != SH_NONE && was_moved(t, c)) {
        if (c->moving == c->in)
            c->in = SH_NONE;
        else if (c->out == SH_NONE)
            c->out = c->moving;
    }
    c->moving = SH_NONE;
    if (c->growing != 0 && was_grown(t, c)) {
        c->fresh = c->growing_from;
        c->fresh_end = c->growing;
    }
    c->growing = 0;
}

void sh_table_mend(struct sh_table *t, struct sh_cache *c, sh_table_uses *uses,
                   void *arg)
{
    uint32_t hand = c->hand;

    mend_moves(t, c);
    /* One list may just have become the other. */
    if (c->out == c->in)
        c->out = SH_NONE;
    /* relaxed: its thread is dead */
    if (c->in != SH_NONE && uses(arg, c->in, SH_NONE))
        c->in = sh_load_rlx(sh_table_link(t, c->in)); /* relaxed: likewise */
    if (c->out != SH_NONE && uses(arg, c->out, SH_NONE))
        c->out = sh_load_rlx(sh_table_link(t, c->out)); /* relaxed: likewise */
    else if (c->fresh < c->fresh_end && uses(arg, c->fresh, SH_NONE))
        c->fresh++;
    c->hand = SH_NONE;
    if (hand != SH_NONE && hand != c->out && hand != c->in &&
        (hand != c->fresh || c->fresh >= c->fresh_end) &&
        !uses(arg, hand, c->hand_of)) {
        sh_store_rlx(sh_table_link(t, hand), c->in); /* relaxed: as above */
        c->in = hand;
    }
}

void sh_table_flush(struct sh_table *t, struct sh_cache *c)
{
    /* Who kept it may have died while one list became the other. */
    if (c->out == c->in)
        c->out = SH_NONE;
    if (c->out != SH_NONE)
        push_chain(t, NULL, c->out);
    if (c->in != SH_NONE)
        push_chain(t, NULL, c->in);
    c->out = c->in = SH_NONE;
    c->in_count = 0;
    while (c->fresh < c->fresh_end) {
        sh_store_rlx(sh_table_link(t, c->fresh), SH_NONE); /* relaxed: ours */
        push_chain(t, NULL, c->fresh++);
    }
}
