/* SPDX-License-Identifier: MIT */
/*
 * memory/table.h - type-stable tables: items that are named by index, never
 * unmapped while their pool lives, and reused. See table.c.
 *
 * Edges.
 *   grow     table.c
 *   death    process/recover.c
 */
#ifndef SH_MEMORY_TABLE_H
#define SH_MEMORY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"

/* Index 0 is never handed out: it stands for none. */
#define SH_NONE 0u
#define SH_INDEX_MAX (1u << 23)
#define SH_INDEX ((uint32_t)0xffffff) /* of a word that has more */
#define SH_CHAIN 128u /* items of a chain */
/* Threads whose death somebody sees to have marks of their own, from 1 on. */
#define SH_MARKS 256u

struct sh_arena;

struct sh_table {
    char *items;
    struct sh_arena *arena; /* that they lie in; NULL: memory of this process */
    size_t stride;
    size_t link_at;  /* offset of an _Atomic uint32_t: the next free item */
    size_t chain_at; /* offset of another: the next chain of free items */
    uint32_t capacity;
    struct sh_heap *heap; /* that items are charged to; NULL: none */
    /* By marks, behind the items: the last change of used that somebody has
     * seen done; then the same of chains. */
    _Atomic uint32_t *notes;
    /* Each with the mark of who changed it last, or 0: see table.c. */
    _Alignas(SH_LINE) _Atomic uint32_t used;   /* mark 8 | items ever handed
                                                * out, + 1 */
    _Alignas(SH_LINE) _Atomic uint64_t chains; /* tag 32 | mark 8 | index 24 */
};

/* What one thread keeps of a table, so that it need not share. */
struct sh_cache {
    uint32_t out; /* free items to hand out, linked */
    uint32_t in;  /* free items that came back, linked */
    uint32_t in_count;
    uint32_t fresh, fresh_end; /* a run of items that were never used */
    /* An item that is in no list for the moment, or SH_NONE; and what it was
     * just in, or is to be in. For who finds its thread dead. */
    uint32_t hand, hand_of;
    /* Its mark, or 0. The chain that it is about to pop or to push, and by
     * which tag, 0: none; and what it is about to have used up to, or 0. */
    uint32_t mark;
    uint32_t moving, moving_tag;
    uint32_t growing, growing_from;
};

/* Reserve address space for capacity items, zeroed, in an arena or in memory of
 * this process (NULL). False if there is none. */
bool sh_table_init(struct sh_table *t, struct sh_arena *arena, size_t stride,
                   size_t link_at, size_t chain_at, uint32_t capacity);
void sh_table_fini(struct sh_table *t);

/* Where an item's link is; relaxed, since a free item is its keeper's own. */
static inline _Atomic uint32_t *sh_table_link(const struct sh_table *t,
                                              uint32_t index)
{
    return (_Atomic uint32_t *)(void *)(t->items + (size_t)index * t->stride +
                                        t->link_at);
}

/* The parts of the functions below that are rarely needed. */
uint32_t sh_table_peek_more(struct sh_table *t, struct sh_cache *c);
void sh_table_give_more(struct sh_table *t, struct sh_cache *c);

static inline void *sh_table_at(const struct sh_table *t, uint32_t index)
{
    SH_ASSERT(index < t->capacity);
    return t->items + (size_t)index * t->stride;
}

/* Have an item in the cache by the time that it is wanted. */
static inline void sh_table_prefetch(const struct sh_table *t, uint32_t index)
{
    char *item = sh_table_at(t, index);

    __builtin_prefetch(item, 1);
    if (t->stride > SH_LINE)
        __builtin_prefetch(item + SH_LINE, 1);
}

/* The item that is handed out next, SH_NONE if there is none left. Its bytes
 * are as its last user left them, or zero. */
static inline uint32_t sh_table_peek(struct sh_table *t, struct sh_cache *c)
{
    if (SH_LIKELY(c->out != SH_NONE))
        return c->out;
    return c->fresh < c->fresh_end ? c->fresh : sh_table_peek_more(t, c);
}

/* That one, whose link is there, is handed out, if its bytes say so already: if
 * we die before this, who flushes our cache goes by them. Returns what may be
 * the next. */
static inline uint32_t sh_table_took(struct sh_cache *c, uint32_t index,
                                     _Atomic uint32_t *link)
{
    if (SH_LIKELY(c->out == index))
        /* release: death. relaxed: ours */
        sh_store_bare_rel(&c->out, sh_load_rlx(link));
    else
        sh_store_bare_rel(&c->fresh, index + 1); /* release: death */
    return c->out;
}

static inline void sh_table_take_now(struct sh_table *t, struct sh_cache *c,
                                     uint32_t index)
{
    sh_table_prefetch(t, sh_table_took(c, index, sh_table_link(t, index)));
}

static inline uint32_t sh_table_take(struct sh_table *t, struct sh_cache *c)
{
    uint32_t index = sh_table_peek(t, c);

    if (SH_LIKELY(index != SH_NONE))
        sh_table_take_now(t, c, index);
    return index;
}

/* The same of an item whose bytes do not say so: it is in hand until
 * sh_table_unhand, when it is where it belongs, which of names. */
static inline uint32_t sh_table_take_in_hand(struct sh_table *t,
                                             struct sh_cache *c, uint32_t of)
{
    uint32_t index = sh_table_peek(t, c);

    if (index == SH_NONE)
        return SH_NONE;
    c->hand_of = of;
    sh_store_bare_rel(&c->hand, index); /* release: death */
    sh_table_take_now(t, c, index);
    return index;
}

/* Give an item, whose link is there, back, in two steps: between them is what
 * says that it is free. */
static inline void sh_table_put_at(struct sh_cache *c, uint32_t index,
                                   _Atomic uint32_t *link)
{
    sh_store_rlx(link, c->in);        /* relaxed: ours */
    sh_store_bare_rel(&c->in, index); /* release: death */
}

static inline void sh_table_put(struct sh_table *t, struct sh_cache *c,
                                uint32_t index)
{
    SH_ASSERT(index != SH_NONE && index < t->capacity);
    sh_table_put_at(c, index, sh_table_link(t, index));
}

static inline void sh_table_gave(struct sh_table *t, struct sh_cache *c)
{
    if (SH_UNLIKELY(++c->in_count >= SH_CHAIN))
        sh_table_give_more(t, c);
}

static inline void sh_table_give(struct sh_table *t, struct sh_cache *c,
                                 uint32_t index)
{
    sh_table_put(t, c, index);
    sh_table_gave(t, c);
}

/* An item is about to be taken out of what of names, to be given back. */
static inline void sh_table_hand(struct sh_cache *c, uint32_t index,
                                 uint32_t of)
{
    c->hand_of = of;
    sh_store_bare_rel(&c->hand, index); /* release: death */
}

/* What is in hand is where it belongs. */
static inline void sh_table_unhand(struct sh_cache *c)
{
    sh_store_bare_rel(&c->hand, SH_NONE); /* release: death */
}

/* It has been taken out: give it back. */
static inline void sh_table_give_in_hand(struct sh_table *t, struct sh_cache *c)
{
    sh_table_put(t, c, c->hand);
    sh_table_unhand(c);
    sh_table_gave(t, c);
}

/* Before the lists of a dead thread are used: what is at their heads and in use
 * is taken off, and what was in hand, and in use nowhere, is given back. It is
 * asked before anything is repaired that could have it freed. */
typedef bool sh_table_uses(void *arg, uint32_t index, uint32_t of);
void sh_table_mend(struct sh_table *t, struct sh_cache *c, sh_table_uses *uses,
                   void *arg);

/* Give back all that a thread keeps. */
void sh_table_flush(struct sh_table *t, struct sh_cache *c);

/* One more than the highest index that was ever handed out. */
static inline uint32_t sh_table_used(struct sh_table *t)
{
    uint32_t used = sh_load_acq(&t->used) & SH_INDEX; /* acquire: grow */

    return used < t->capacity ? used : t->capacity;
}

#endif /* SH_MEMORY_TABLE_H */
