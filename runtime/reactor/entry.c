/* SPDX-License-Identifier: MIT */
/*
 * reactor/entry.c - the entries of a completion queue, by handle.
 *
 *     segments -> [0 .. 63] [64 .. 127] [128 .. 255] ...      buckets
 *                    |
 *                    v link
 *                  entry -> entry
 *
 * Idea. Linear hashing (Litwin, "Linear hashing: a new tool for file and table
 * addressing", VLDB 1980): whenever there are more entries than buckets, one
 * bucket is split in two, in turn. So no addition moves more than a few
 * entries, and no settler waits at the queue's lock for one that moves them
 * all. The buckets lie in segments, each as long as all before it, so none is
 * ever copied. Without memory for a segment the chains become longer, and
 * nothing fails. Buckets are kept until the queue is freed.
 *
 * Crash. Memory of the host, which a worker process does not see.
 */
#include "reactor/entry.h"

#include <stdlib.h>

#include "base/fault.h"

#define FIRST 64u    /* buckets of the first segment */
#define SPARES 1024u /* entries that are kept, at most */
#define SEGMENTS 58u /* more than any address space has room for */

struct sh_entry *sh_entry_new(void)
{
    return sh_fault() ? NULL : malloc(sizeof(struct sh_entry));
}

void sh_entry_free(struct sh_entry *e)
{
    free(e);
}

struct sh_entry *sh_entries_take(struct sh_entries *t)
{
    struct sh_entry *e = t->spare;

    if (e == NULL)
        return sh_entry_new();
    t->spare = e->link;
    t->spares--;
    return e;
}

void sh_entries_give(struct sh_entries *t, struct sh_entry *e)
{
    if (t->spares == SPARES) {
        sh_entry_free(e);
        return;
    }
    e->link = t->spare;
    t->spare = e;
    t->spares++;
}

bool sh_entries_init(struct sh_entries *t)
{
    struct sh_entry ***segments =
        sh_fault() ? NULL : calloc(SEGMENTS, sizeof *segments);
    struct sh_entry **first =
        segments == NULL || sh_fault() ? NULL : calloc(FIRST, sizeof *first);

    if (first == NULL) {
        free(segments);
        return false;
    }
    segments[0] = first;
    *t = (struct sh_entries){ .segments = segments, .buckets = FIRST };
    return true;
}

void sh_entries_fini(struct sh_entries *t)
{
    SH_ASSERT(t->count == 0);
    while (t->spare != NULL) {
        struct sh_entry *e = t->spare;

        t->spare = e->link;
        sh_entry_free(e);
    }
    for (unsigned i = 0; i < SEGMENTS; i++)
        free(t->segments[i]);
    free(t->segments);
    *t = (struct sh_entries){ 0 };
}

/* The segment that bucket b > 0 lies in, and where that begins. */
static unsigned segment_of(size_t b, size_t *base_out)
{
    unsigned above = 0;

    *base_out = 0;
    if (b >= FIRST) {
        above = 63u - (unsigned)__builtin_clzll(b / FIRST);
        *base_out = (size_t)FIRST << above;
        above++;
    }
    return above;
}

static struct sh_entry **bucket(const struct sh_entries *t, size_t b)
{
    size_t base;
    unsigned segment = segment_of(b, &base);

    return &t->segments[segment][b - base];
}

/* The handles of a burst differ in the index, the low bits of which are what
 * is multiplied up: Fibonacci hashing (Knuth, TAOCP 3, 6.4). */
static size_t hash(uint64_t handle)
{
    return (size_t)((handle ^ handle >> 28) * UINT64_C(0x9e3779b97f4a7c15) >>
                    20);
}

/* The bucket of a hash, when there are so many. */
static size_t bucket_of(size_t h, size_t buckets)
{
    /* The least power of two that is not below. */
    size_t all = (size_t)1 << (64 - __builtin_clzll(buckets - 1));
    size_t b = h & (all - 1);

    return b < buckets ? b : b - all / 2;
}

/* Split the bucket whose turn it is. */
static void split(struct sh_entries *t)
{
    size_t base, fresh = t->buckets;
    unsigned segment = segment_of(fresh, &base);
    struct sh_entry **from, **to, *e;

    if (fresh == base && t->segments[segment] == NULL) {
        t->segments[segment] =
            sh_fault() ? NULL : calloc(base, sizeof(struct sh_entry *));
        if (t->segments[segment] == NULL)
            return;
    }
    from = bucket(t, fresh - base);
    to = bucket(t, fresh);
    t->buckets++;
    while ((e = *from) != NULL) {
        if (bucket_of(hash(e->handle), t->buckets) == fresh) {
            *from = e->link;
            e->link = *to;
            *to = e;
        } else {
            from = &e->link;
        }
    }
}

static struct sh_entry **chain_of(const struct sh_entries *t, uint64_t handle)
{
    return bucket(t, bucket_of(hash(handle), t->buckets));
}

void sh_entries_add(struct sh_entries *t, struct sh_entry *e)
{
    struct sh_entry **chain;

    if (t->count >= t->buckets)
        split(t);
    chain = chain_of(t, e->handle);
    e->link = *chain;
    *chain = e;
    t->count++;
}

void sh_entries_remove(struct sh_entries *t, struct sh_entry *e)
{
    struct sh_entry **at = chain_of(t, e->handle);

    while (*at != e)
        at = &(*at)->link;
    *at = e->link;
    t->count--;
}

static struct sh_entry *next_with(struct sh_entry *e, uint64_t handle)
{
    while (e != NULL && e->handle != handle)
        e = e->link;
    return e;
}

struct sh_entry *sh_entries_find(const struct sh_entries *t, uint64_t handle)
{
    return next_with(*chain_of(t, handle), handle);
}

struct sh_entry *sh_entries_alike(const struct sh_entry *e)
{
    return next_with(e->link, e->handle);
}

struct sh_entry *sh_entries_pop(struct sh_entries *t)
{
    struct sh_entry **last;
    struct sh_entry *e;

    if (t->count == 0)
        return NULL;
    /* Buckets at the end that are empty are given up: nobody adds any more. */
    while (*(last = bucket(t, t->buckets - 1)) == NULL)
        t->buckets--;
    e = *last;
    *last = e->link;
    t->count--;
    return e;
}
