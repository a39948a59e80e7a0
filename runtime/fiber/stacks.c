/* SPDX-License-Identifier: MIT */
/*
 * fiber/stacks.c - a worker's pool of guarded stacks.
 *
 * How deep use is found out. Giving a stack back happens at every await that
 * waits, so asking the kernel each time (mincore, or madvise at once) is too
 * dear. But fresh pages read as zero: a few words at twice the depth that is
 * kept are zero unless something was there. Reading them touches no memory,
 * as the kernel lends the page of zeroes for it.
 *
 * A call chain cannot pass the probed bytes without leaving a return address,
 * unless one frame spans them and leaves them alone, say with a large buffer.
 * What jumps over the probe is caught by discarding on every TRIM_EVERYth
 * give of a stack, needed or not. So at most CACHED_MAX stacks hold deep pages
 * for long, and none that is in use for ever.
 *
 * Edges.
 *   death    process/recover.c
 *   pinned   unpin: the last use of the stack, write pinned -> take, inherit:
 *            read pinned
 */
#include "fiber/stacks.h"

#include <string.h>

#include "base/assert.h"
#include "fiber/annotate.h"
#include "memory/arena.h"

enum {
    PROBE_BYTES = 256,
    TRIM_EVERY = 64
};

/* The struct is the top of its stack, which calls need aligned by 16. */
#define FIBER_BYTES (((sizeof(struct sh_fiber)) + 63) & ~(size_t)63)

_Static_assert(SH_STACKS_BYTES_MIN > 2 * FIBER_BYTES, "room for a stack");

static char *end_of(const struct sh_stacks *s, const struct sh_fiber *f)
{
    return f->stack_low + s->stack_bytes;
}

static bool holds(const struct sh_fiber *f, const void *p)
{
    uintptr_t low = (uintptr_t)f->stack_low;

    return (uintptr_t)p >= low && (uintptr_t)p < low + f->stack_bytes;
}

static size_t bytes_of(const struct sh_stacks *s)
{
    return SH_STACKS_GUARD + s->stack_bytes;
}

/* What was set aside, or else what there is. It stays aside until it is a
 * stack: who dies in between has not lost it, and who died just then has it
 * twice. */
static char *take_pages(struct sh_stacks *s)
{
    if (s->all != NULL && s->aside == s->all->stack_low - SH_STACKS_GUARD)
        s->aside = NULL;
    return s->aside != NULL
               ? s->aside
               : sh_arena_map(s->arena, bytes_of(s), SH_PAGES_STACK);
}

static struct sh_fiber *map_fiber(struct sh_stacks *s)
{
    size_t bytes = bytes_of(s);
    char *pages = take_pages(s);

    if (pages == NULL)
        return NULL;
    if (!sh_pages_guard(pages, SH_STACKS_GUARD)) {
        if (s->arena != NULL) /* which takes no addresses back */
            s->aside = pages;
        else
            sh_arena_unmap(s->arena, pages, bytes);
        return NULL;
    }

    void *top = pages + bytes - FIBER_BYTES;
    struct sh_fiber *f = top;
    *f = (struct sh_fiber){
        .stack_low = pages + SH_STACKS_GUARD,
        .stack_bytes = s->stack_bytes - FIBER_BYTES,
        .older = s->all,
    };
    sh_annotate_mapped(f);
    if (s->arena != NULL) {
        sh_store_bare_rel(&s->all, f); /* release: death */
        s->aside = NULL;
    }
    return f;
}

static void unmap_fiber(const struct sh_stacks *s, struct sh_fiber *f)
{
    SH_ASSERT(!holds(f, __builtin_frame_address(0)));
    sh_annotate_unmapping(f);
    sh_arena_unmap(s->arena, f->stack_low - SH_STACKS_GUARD, bytes_of(s));
}

/* The words at twice the depth that is kept, or NULL if there is no such depth
 * and so nothing to find. */
static const char *probe_of(const struct sh_stacks *s, const struct sh_fiber *f)
{
    if (s->stack_bytes < 2 * s->keep_bytes + PROBE_BYTES)
        return NULL;
    return end_of(s, f) - 2 * s->keep_bytes - PROBE_BYTES;
}

static bool was_written(const char *probe)
{
    static const char zeroes[PROBE_BYTES];

    sh_annotate_probe(probe, PROBE_BYTES);
    return memcmp(probe, zeroes, PROBE_BYTES) != 0;
}

/* Return the memory of f that is deeper than what the cache keeps. */
static void trim(const struct sh_stacks *s, struct sh_fiber *f)
{
    const char *probe = probe_of(s, f);

    if (probe == NULL)
        return;
    f->gives++;
    if (f->gives % TRIM_EVERY == 0 || was_written(probe))
        sh_arena_discard(s->arena, f->stack_low,
                         s->stack_bytes - s->keep_bytes);
}

/* The same down to the page that the struct is on. */
static void empty(const struct sh_stacks *s, struct sh_fiber *f)
{
    sh_arena_discard(s->arena, f->stack_low, s->stack_bytes - sh_pages_size());
}

void sh_stacks_init(struct sh_stacks *s, struct sh_arena *arena,
                    size_t stack_bytes)
{
    /* What is absurdly large is left to the kernel to refuse, at take; only
     * adding the guard must not overflow. */
    size_t bytes_max = SIZE_MAX / 2 + 1 - SH_STACKS_GUARD;

    SH_ASSERT(s != NULL);
    if (stack_bytes < SH_STACKS_BYTES_MIN)
        stack_bytes = SH_STACKS_BYTES_MIN;
    if (stack_bytes > bytes_max)
        stack_bytes = bytes_max;
    *s = (struct sh_stacks){
        .arena = arena,
        .stack_bytes = sh_pages_round(stack_bytes),
        .keep_bytes = sh_pages_round(SH_STACKS_KEEP),
    };
}

bool sh_stacks_reserve(struct sh_stacks *s)
{
    SH_ASSERT(s->arena != NULL);
    SH_ASSERT(s->all == NULL);
    if (s->aside == NULL)
        s->aside = sh_arena_map(s->arena, bytes_of(s), SH_PAGES_STACK);
    return s->aside != NULL;
}

/* -- stacks that others use -- */

struct sh_fiber *sh_stacks_of(const struct sh_stacks *s, const void *p)
{
    struct sh_fiber *f = s->all;

    while (f != NULL && !holds(f, p))
        f = f->older;
    return f;
}

void sh_stacks_pin(struct sh_stacks *s, struct sh_fiber *f)
{
    if (sh_load_rlx(&f->pinned) == SH_PINNED) /* relaxed: ours */
        return;
    sh_store_rlx(&f->pinned, SH_PINNED); /* relaxed: ours, until we die */
    s->pinned++;
    if (s->live > 0)
        s->live--;
}

void sh_stacks_unpin(struct sh_fiber *f)
{
    sh_store_rel(&f->pinned, SH_UNPINNED); /* release: pinned */
}

/* A stack is ours again, as if it were fresh. */
static void renew(struct sh_stacks *s, struct sh_fiber *f)
{
    empty(s, f);
    sh_annotate_inherited(f);
    sh_store_rlx(&f->pinned, SH_NOT_PINNED); /* relaxed: ours */
    f->sp = NULL;
}

/* One that was pinned and is so no more, or NULL. */
static SH_COLD struct sh_fiber *regain(struct sh_stacks *s)
{
    struct sh_fiber *f = s->all;

    while (f != NULL && sh_load_acq(&f->pinned) != SH_UNPINNED) /* acquire:
                                                                 * pinned */
        f = f->older;
    if (f != NULL) {
        s->pinned--;
        renew(s, f);
    }
    return f;
}

struct sh_fiber *sh_stacks_take(struct sh_stacks *s)
{
    struct sh_fiber *f = s->free;

    if (f == NULL) {
        f = s->pinned > 0 ? regain(s) : NULL;
        if (f == NULL) {
            f = map_fiber(s);
            if (f == NULL)
                return NULL;
            s->made++;
        }
    } else {
        SH_ASSERT(s->free_count > 0);
        s->free = f->next;
        s->free_count--;
        f->next = NULL;
    }
    s->live++;
    SH_ASSERT(f->sp == NULL);
    return f;
}

void sh_stacks_give(struct sh_stacks *s, struct sh_fiber *f)
{
    SH_ASSERT(s->live > 0);
    SH_ASSERT(!holds(f, __builtin_frame_address(0)));
    SH_ASSERT(f->stack_bytes == s->stack_bytes - FIBER_BYTES);

    s->live--;
    f->sp = NULL;
    sh_annotate_given(f);
    if (s->free_count < SH_STACKS_CACHED_MAX) {
        trim(s, f);
    } else if (s->arena != NULL) {
        empty(s, f);
    } else {
        unmap_fiber(s, f);
        return;
    }
    sh_annotate_cached(f);
    f->next = s->free;
    s->free = f;
    s->free_count++;
}

bool sh_stacks_inherit(struct sh_stacks *s)
{
    bool guarded = true;

    SH_ASSERT(s->arena != NULL);
    s->free = NULL;
    s->free_count = s->live = s->pinned = 0;
    for (struct sh_fiber *f = s->all; f != NULL; f = f->older) {
        guarded = guarded && sh_pages_guard(f->stack_low - SH_STACKS_GUARD,
                                            SH_STACKS_GUARD);
        if (sh_load_acq(&f->pinned) == SH_PINNED) { /* acquire: pinned */
            s->pinned++;
            continue;
        }
        renew(s, f);
        f->next = s->free;
        s->free = f;
        s->free_count++;
    }
    return guarded;
}

void sh_stacks_fini(struct sh_stacks *s)
{
    SH_ASSERT(s->live == 0);
    while (s->free != NULL) {
        struct sh_fiber *f = s->free;
        s->free = f->next;
        s->free_count--;
        unmap_fiber(s, f);
    }
    SH_ASSERT(s->free_count == 0);
}
