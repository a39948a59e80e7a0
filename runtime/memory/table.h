/* SPDX-License-Identifier: MIT */
/*
 * memory/table.h - type-stable tables: items that are named by index, never
 * unmapped while their pool lives, and reused. See table.c.
 *
 * Edges.
 *   grow     table.c
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

struct sh_arena;

struct sh_table {
    char *items;
    struct sh_arena *arena; /* that they lie in; NULL: memory of this process */
    size_t stride;
    size_t link_at;  /* offset of an _Atomic uint32_t: the next free item */
    size_t chain_at; /* offset of another: the next chain of free items */
    uint32_t capacity;
    struct sh_heap *heap; /* that items are charged to; NULL: none */
    _Alignas(SH_LINE) _Atomic uint32_t used;   /* items ever handed out, + 1 */
    _Alignas(SH_LINE) _Atomic uint64_t chains; /* tag 32 | index 32 */
};

/* What one thread keeps of a table, so that it need not share. */
struct sh_cache {
    uint32_t out; /* free items to hand out, linked */
    uint32_t in;  /* free items that came back, linked */
    uint32_t in_count;
    uint32_t fresh, fresh_end; /* a run of items that were never used */
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

/* The parts of the two below that are rarely needed. */
uint32_t sh_table_take_more(struct sh_table *t, struct sh_cache *c);
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

/* An item, SH_NONE if there is none left. Its bytes are as its last user left
 * them, or zero. */
static inline uint32_t sh_table_take(struct sh_table *t, struct sh_cache *c)
{
    uint32_t index = c->out;

    if (SH_LIKELY(index != SH_NONE)) {
        c->out = sh_load_rlx(sh_table_link(t, index)); /* relaxed: ours */
        sh_table_prefetch(t, c->out);
        return index;
    }
    return c->fresh < c->fresh_end ? c->fresh++ : sh_table_take_more(t, c);
}

#define SH_CHAIN 128u /* items of a chain */

/* Give an item back. */
static inline void sh_table_give(struct sh_table *t, struct sh_cache *c,
                                 uint32_t index)
{
    SH_ASSERT(index != SH_NONE && index < t->capacity);
    sh_store_rlx(sh_table_link(t, index), c->in); /* relaxed: ours */
    c->in = index;
    if (SH_UNLIKELY(++c->in_count >= SH_CHAIN))
        sh_table_give_more(t, c);
}

/* Give back all that a thread keeps. */
void sh_table_flush(struct sh_table *t, struct sh_cache *c);

/* One more than the highest index that was ever handed out. */
static inline uint32_t sh_table_used(struct sh_table *t)
{
    uint32_t used = sh_load_acq(&t->used); /* acquire: grow */

    return used < t->capacity ? used : t->capacity;
}

#endif /* SH_MEMORY_TABLE_H */
