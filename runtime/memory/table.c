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
 *   death   process/recover.c
 *
 * Crash. What a process kept are lists that its death leaves whole. An item is
 * handed out after its bytes say that it is in use, and put into a list before
 * they say that it is free: so if that is missing, it is the first of its list.
 * Of items whose bytes do not tell, the one that is in no list is in hand.
 * Recovery sets that right, and gives the lists to the others. A chain that was
 * about to be pushed, or had just been popped, is lost until the table goes,
 * and so is a run of fresh items. A death between the charge and the growth
 * leaves a run charged that nobody has.
 */
#include "memory/table.h"

#include "base/fault.h"
#include "memory/arena.h"
#include "memory/heap.h"

#define FRESH 64u /* items of a run */

static _Atomic uint32_t *chain_of(struct sh_table *t, uint32_t index)
{
    return (_Atomic uint32_t *)((char *)sh_table_at(t, index) + t->chain_at);
}

bool sh_table_init(struct sh_table *t, struct sh_arena *arena, size_t stride,
                   size_t link_at, size_t chain_at, uint32_t capacity)
{
    SH_ASSERT(link_at + sizeof(uint32_t) <= stride);
    SH_ASSERT(chain_at + sizeof(uint32_t) <= stride);
    SH_ASSERT(capacity <= SH_INDEX_MAX);
    t->items = sh_arena_map(arena, stride * capacity, SH_PAGES_RESERVE);
    t->arena = arena;
    t->stride = stride;
    t->link_at = link_at;
    t->chain_at = chain_at;
    t->capacity = capacity;
    t->heap = NULL;
    sh_store_rlx(&t->used, 1);   /* relaxed: nobody else has it yet */
    sh_store_rlx(&t->chains, 0); /* relaxed: nobody else has it yet */
    return t->items != NULL;
}

void sh_table_fini(struct sh_table *t)
{
    if (t->items == NULL)
        return;
    if (t->heap != NULL)
        sh_heap_refund(t->heap, t->stride * (sh_table_used(t) - 1));
    sh_arena_unmap(t->arena, t->items, t->stride * t->capacity);
    t->items = NULL;
}

static void push_chain(struct sh_table *t, uint32_t index)
{
    uint64_t old = sh_load_rlx(&t->chains); /* relaxed: the CAS validates it */
    uint64_t next;

    do {
        sh_store_rlx(chain_of(t, index), (uint32_t)old); /* relaxed: as CAS */
        next = ((old >> 32) + 1) << 32 | index;
    } while (!sh_cas_rel(&t->chains, &old, next)); /* release: chain */
}

static uint32_t pop_chain(struct sh_table *t)
{
    uint64_t old = sh_load_acq(&t->chains); /* acquire: chain */

    while ((uint32_t)old != SH_NONE) {
        /* relaxed: if somebody took it meanwhile, the tag fails the CAS */
        uint32_t rest = sh_load_rlx(chain_of(t, (uint32_t)old));
        uint64_t next = ((old >> 32) + 1) << 32 | rest;

        if (sh_cas_acqrel(&t->chains, &old, next)) /* acquire: chain */
            return (uint32_t)old;
    }
    return SH_NONE;
}

/* Claim a run of items that nobody has used yet. */
static bool grow(struct sh_table *t, struct sh_cache *c)
{
    uint32_t used = sh_load_rlx(&t->used); /* relaxed: the CAS validates it */
    uint32_t end;

    if (sh_fault() || used >= t->capacity ||
        (t->heap != NULL && !sh_heap_charge(t->heap, t->stride * FRESH)))
        return false;
    do {
        end = used + FRESH < t->capacity ? used + FRESH : t->capacity;
    } while (used < end && !sh_cas_rel(&t->used, &used, end)); /* release:
                                                                * grow */
    if (t->heap != NULL)
        sh_heap_refund(t->heap, t->stride * (FRESH - (end - used)));
    if (used == end)
        return false;
    c->fresh = used;
    c->fresh_end = end;
    return true;
}

uint32_t sh_table_peek_more(struct sh_table *t, struct sh_cache *c)
{
    uint32_t chain = pop_chain(t);

    SH_ASSERT(c->out == SH_NONE);
    if (chain == SH_NONE && grow(t, c))
        return c->fresh;
    if (chain != SH_NONE) {
        c->out = chain;
    } else if (c->in != SH_NONE) { /* nothing but what came back here */
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
        /* First: if we die between the two it is lost, but nobody has it
         * twice. */
        c->in = SH_NONE;
        push_chain(t, chain);
    }
    c->in_count = 0;
}

void sh_table_mend(struct sh_table *t, struct sh_cache *c, sh_table_uses *uses,
                   void *arg)
{
    uint32_t hand = c->hand;

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
        hand != c->fresh && !uses(arg, hand, c->hand_of)) {
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
        push_chain(t, c->out);
    if (c->in != SH_NONE)
        push_chain(t, c->in);
    c->out = c->in = SH_NONE;
    c->in_count = 0;
    while (c->fresh < c->fresh_end) {
        sh_store_rlx(sh_table_link(t, c->fresh), SH_NONE); /* relaxed: ours */
        push_chain(t, c->fresh++);
    }
}
