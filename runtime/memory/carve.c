/* SPDX-License-Identifier: MIT */
/* memory/carve.c - the two allocators of a process: see carve.h. */
#include "memory/carve.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "memory/jemalloc/jemalloc_private.h"
#include "memory/pages.h"

/* Plain: a free block of that size keeps its first page alone, when others have
 * kept theirs up to so many bytes. The next one is soon to come, and pages cost
 * more than the copy that fills them. */
#define DISCARD_BYTES ((size_t)64 << 10)
#define KEPT_MAX ((size_t)16 << 20)

/* size bytes behind the end of slice i; NULL if it has not so many. */
static void *take_end(struct sh_carver *c, unsigned i, size_t size,
                      size_t alignment)
{
    struct sh_carve_part *part = &c->part[i];
    size_t at = (part->end + alignment - 1) / alignment * alignment;

    if (at > c->slices->slice_bytes || size > c->slices->slice_bytes - at)
        return NULL;
    part->end = at + size;
    c->recent = i;
    return sh_slice_base(c->slices, i) + at;
}

static void *new_part(struct sh_carver *c, size_t size, size_t alignment)
{
    unsigned i = sh_slice_claim(c->slices, 1, c->owner);

    if (i == SH_SLICES_MAX)
        return NULL;
    c->part[i].end = 0;
    c->is_part[i / 64] |= (uint64_t)1 << i % 64;
    c->parts++;
    return take_end(c, i, size, alignment);
}

/* -- jemalloc -- */

/* Of any slice that has room at its end, the recent one first. */
static void *take_extent(struct sh_carver *c, size_t size, size_t alignment)
{
    void *p = c->parts > 0 ? take_end(c, c->recent, size, alignment) : NULL;

    for (unsigned w = 0; w < SH_SLICES_MAX / 64 && p == NULL; w++) {
        for (uint64_t bits = c->is_part[w]; bits != 0 && p == NULL;
             bits &= bits - 1)
            p = take_end(c, w * 64 + (unsigned)__builtin_ctzll(bits), size,
                         alignment);
    }
    return p != NULL ? p : new_part(c, size, alignment);
}

static struct sh_carver *carver_of(struct sh_hooks *hooks)
{
    return (struct sh_carver *)(void *)hooks;
}

static void *hook_alloc(struct sh_hooks *hooks, void *at, size_t size,
                        size_t alignment, bool *zero, bool *commit,
                        unsigned arena)
{
    struct sh_carver *c = carver_of(hooks);
    void *p;

    (void)arena;
    if (at != NULL || size > c->slices->slice_bytes)
        return NULL;
    p = take_extent(c, size, alignment);
    if (p == NULL)
        return NULL;
    if (*zero) /* nothing of ours asks for that */
        memset(p, 0, size);
    *commit = true;
    return p;
}

/* True: no. The pool's end gives back slices, not extents. */
static bool hook_dalloc(struct sh_hooks *hooks, void *p, size_t size,
                        bool committed, unsigned arena)
{
    (void)hooks;
    (void)p;
    (void)size;
    (void)committed;
    (void)arena;
    return true;
}

static void hook_destroy(struct sh_hooks *hooks, void *p, size_t size,
                         bool committed, unsigned arena)
{
    (void)hooks;
    (void)p;
    (void)size;
    (void)committed;
    (void)arena;
}

/* Where the system refuses, old content stays; nothing of ours asks jemalloc
 * for memory that is zero. */
static bool hook_purge(struct sh_hooks *hooks, void *p, size_t size,
                       size_t offset, size_t length, unsigned arena)
{
    struct sh_carver *c = carver_of(hooks);

    (void)size;
    (void)arena;
    if (c->gone)
        return true;
    sh_arena_discard(c->slices->arena, (char *)p + offset, length);
    return false;
}

static bool hook_split(struct sh_hooks *hooks, void *p, size_t size,
                       size_t size_a, size_t size_b, bool committed,
                       unsigned arena)
{
    (void)hooks;
    (void)p;
    (void)size;
    (void)size_a;
    (void)size_b;
    (void)committed;
    (void)arena;
    return false;
}

/* True, which is no, over the end of a slice. */
static bool hook_merge(struct sh_hooks *hooks, void *a, size_t size_a, void *b,
                       size_t size_b, bool committed, unsigned arena)
{
    struct sh_slices *s = carver_of(hooks)->slices;

    (void)size_a;
    (void)size_b;
    (void)committed;
    (void)arena;
    return sh_slice_of(s, a) != sh_slice_of(s, b);
}

/* Its own data lie elsewhere, in memory of this process alone. */
static bool make_arena(struct sh_carver *c)
{
    struct {
        struct sh_hooks *hooks;
        bool metadata_use_hooks;
    } config = { &c->hooks, false };
    size_t size = sizeof c->arena, grow = SH_SLICE_BYTES_LEAST;
    char name[64];

    c->hooks = (struct sh_hooks){ .alloc = hook_alloc,
                                  .dalloc = hook_dalloc,
                                  .destroy = hook_destroy,
                                  .purge_forced = hook_purge,
                                  .split = hook_split,
                                  .merge = hook_merge };
    if (sh_fault() || sh_je_mallctl("experimental.arenas_create_ext", &c->arena,
                                    &size, &config, sizeof config) != 0)
        return false;
    /* By default it asks for more from time to time, up to all there is. */
    snprintf(name, sizeof name, "arena.%u.retain_grow_limit", c->arena);
    sh_je_mallctl(name, NULL, NULL, &grow, sizeof grow);
    return true;
}

static void call_arena(struct sh_carver *c, const char *what)
{
    char name[64];

    snprintf(name, sizeof name, "arena.%u.%s", c->arena, what);
    sh_je_mallctl(name, NULL, NULL, NULL, 0);
}

static int flags_of(const struct sh_carver *c)
{
    return MALLOCX_ARENA(c->arena) | MALLOCX_TCACHE_NONE;
}

/* -- plain -- */

/* Up to 256 every 64 bytes, above four sizes for each power of two. */
static unsigned class_of(size_t size, size_t *bytes_out)
{
    size_t last = size - 1;
    unsigned log = last == 0 ? 0 : 63 - (unsigned)__builtin_clzll(last);
    unsigned shift = log < 8 ? 6 : log - 2;

    *bytes_out = ((last >> shift) + 1) << shift;
    return log < 8 ? (unsigned)(last >> 6)
                   : (log - 8) * 4 + (unsigned)(last >> shift);
}

/* What is in a free block. */
struct free_block {
    void *next;
    size_t kept; /* its bytes, if they count as kept */
};

static void unkeep(struct sh_carver *c, unsigned i, size_t bytes)
{
    c->part[i].kept -= bytes;
    c->kept -= bytes;
}

static void *take_free(struct sh_carver *c, unsigned i, unsigned class)
{
    struct free_block *f = c->part[i].first[class];

    if (f == NULL)
        return NULL;
    c->part[i].first[class] = f->next;
    unkeep(c, i, f->kept);
    return f;
}

static void *take_plain(struct sh_carver *c, unsigned i, unsigned class,
                        size_t bytes)
{
    void *p = take_free(c, i, class);

    if (p == NULL)
        p = take_end(c, i, bytes, SH_GRANULE);
    if (p != NULL)
        c->recent = i;
    return p;
}

static void *carve_plain(struct sh_carver *c, size_t size)
{
    size_t bytes;
    unsigned class = class_of(size, &bytes);
    void *p = c->parts > 0 ? take_plain(c, c->recent, class, bytes) : NULL;

    SH_ASSERT(class < SH_CARVE_CLASSES && bytes >= size);
    for (unsigned w = 0; w < SH_SLICES_MAX / 64 && p == NULL; w++) {
        for (uint64_t bits = c->is_part[w]; bits != 0 && p == NULL;
             bits &= bits - 1)
            p = take_plain(c, w * 64 + (unsigned)__builtin_ctzll(bits), class,
                           bytes);
    }
    if (p == NULL)
        p = new_part(c, bytes, SH_GRANULE);
    if (p != NULL)
        c->part[c->recent].used++;
    return p;
}

/* Nothing of it is in use. */
static void give_part(struct sh_carver *c, unsigned i)
{
    unkeep(c, i, c->part[i].kept);
    memset(&c->part[i], 0, sizeof c->part[i]);
    c->is_part[i / 64] &= ~((uint64_t)1 << i % 64);
    c->parts--;
    sh_slice_give(c->slices, i);
    for (unsigned w = 0; w < SH_SLICES_MAX / 64; w++) {
        if (c->is_part[w] != 0)
            c->recent = w * 64 + (unsigned)__builtin_ctzll(c->is_part[w]);
    }
}

/* All pages but the first. */
static void discard_block(struct sh_carver *c, struct free_block *f,
                          size_t bytes)
{
    size_t page = sh_pages_size();
    uintptr_t from = ((uintptr_t)(f + 1) + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)f + bytes) / page * page;

    sh_arena_discard(c->slices->arena, (char *)f + (from - (uintptr_t)f),
                     to - from);
}

static void uncarve_plain(struct sh_carver *c, void *p, size_t size)
{
    unsigned i = sh_slice_of(c->slices, p);
    struct sh_carve_part *part = &c->part[i];
    struct free_block *f = p;
    size_t bytes;
    unsigned class = class_of(size, &bytes);

    SH_ASSERT(part->used > 0);
    if (--part->used == 0) {
        if (c->parts > 1) {
            give_part(c, i);
        } else { /* the last one stays, and begins anew */
            unkeep(c, i, part->kept);
            memset(part, 0, sizeof *part);
        }
        return;
    }
    *f = (struct free_block){ .next = part->first[class] };
    part->first[class] = f;
    if (bytes < DISCARD_BYTES)
        return;
    if (bytes > KEPT_MAX - c->kept) {
        discard_block(c, f, bytes);
        return;
    }
    f->kept = bytes;
    part->kept += bytes;
    c->kept += bytes;
}

static void trim_part(struct sh_carver *c, unsigned i)
{
    for (unsigned k = 0; k < SH_CARVE_CLASSES; k++) {
        struct free_block *f = c->part[i].first[k];

        for (; f != NULL; f = f->next) {
            if (f->kept == 0)
                continue;
            discard_block(c, f, f->kept);
            unkeep(c, i, f->kept);
            f->kept = 0;
        }
    }
}

static void trim_plain(struct sh_carver *c)
{
    for (unsigned i = 0; i < c->slices->count; i++) {
        if ((c->is_part[i / 64] >> i % 64 & 1) == 0)
            continue;
        if (c->part[i].used == 0)
            give_part(c, i);
        else if (c->part[i].kept > 0)
            trim_part(c, i);
    }
}

/* -- either -- */

void sh_carver_init(struct sh_carver *c, struct sh_slices *s, unsigned owner)
{
    SH_ASSERT(c->parts == 0);
    c->slices = s;
    c->owner = owner;
    /* The host outlives its pools, and jemalloc keeps 2 MiB of addresses for
     * each arena that there has been. */
    c->plain = owner == SH_SLICER_HOST || !sh_je_has_arenas || !make_arena(c);
}

void sh_carver_fini(struct sh_carver *c)
{
    c->gone = true;
    if (!c->plain)
        call_arena(c, "destroy");
}

void *sh_carve(struct sh_carver *c, size_t size)
{
    SH_ASSERT(size >= SH_GRANULE && size <= sh_slice_block_max(c->slices));
    return c->plain ? carve_plain(c, size) : sh_je_mallocx(size, flags_of(c));
}

void sh_uncarve(struct sh_carver *c, void *p, size_t size)
{
    if (c->plain)
        uncarve_plain(c, p, size);
    else
        sh_je_sdallocx(p, size, MALLOCX_TCACHE_NONE);
}

void sh_carver_trim(struct sh_carver *c)
{
    if (c->plain)
        trim_plain(c);
    else
        call_arena(c, "purge");
}
