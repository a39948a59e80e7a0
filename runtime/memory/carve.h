/* SPDX-License-Identifier: MIT */
/*
 * memory/carve.h - blocks out of the slices that this process owns.
 *
 * Idea. An arena of the private jemalloc whose extent hooks take from slices
 * and give back to the shared memory's file; or, where there is no jemalloc, or
 * it refuses to make an arena, a plain allocator: for each slice an end up to
 * which it is used, and free lists of a class of sizes each. Either keeps what
 * it knows in memory of this process alone, and asks for slices when it needs
 * them.
 *
 * No jemalloc cache is used: a thread's own would hand out memory of slices for
 * what is asked of any other arena. No extent reaches over the end of a slice,
 * so that a slice can be given to another on its own.
 *
 * Threads: one at a time, which the caller sees to.
 *
 * Crash. All is lost, and nothing is missed: the directory says which blocks
 * there are. What the plain allocator writes into blocks that are free, only
 * it reads.
 */
#ifndef SH_MEMORY_CARVE_H
#define SH_MEMORY_CARVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/directory.h"

/* extent_hooks_t of jemalloc 5; see jemalloc(3), arena.<i>.extent_hooks. */
struct sh_hooks {
    void *(*alloc)(struct sh_hooks *, void *, size_t, size_t, bool *, bool *,
                   unsigned);
    bool (*dalloc)(struct sh_hooks *, void *, size_t, bool, unsigned);
    void (*destroy)(struct sh_hooks *, void *, size_t, bool, unsigned);
    bool (*commit)(struct sh_hooks *, void *, size_t, size_t, size_t, unsigned);
    bool (*decommit)(struct sh_hooks *, void *, size_t, size_t, size_t,
                     unsigned);
    bool (*purge_lazy)(struct sh_hooks *, void *, size_t, size_t, size_t,
                       unsigned);
    bool (*purge_forced)(struct sh_hooks *, void *, size_t, size_t, size_t,
                         unsigned);
    bool (*split)(struct sh_hooks *, void *, size_t, size_t, size_t, bool,
                  unsigned);
    bool (*merge)(struct sh_hooks *, void *, size_t, void *, size_t, bool,
                  unsigned);
};

enum {
    SH_CARVE_CLASSES = 120
};

/* Of a slice that blocks are carved from. */
struct sh_carve_part {
    size_t end;                    /* what lies behind was never handed out */
    unsigned used;                 /* blocks; plain */
    size_t kept;                   /* bytes of pages in free blocks; plain */
    void *first[SH_CARVE_CLASSES]; /* plain: free blocks, linked */
};

struct sh_carver {
    struct sh_hooks hooks; /* first: jemalloc calls them with its address */
    struct sh_slices *slices;
    unsigned owner;
    unsigned arena; /* of jemalloc */
    bool plain;
    bool gone;       /* the memory may be somebody else's: leave it alone */
    unsigned parts;  /* how many there are */
    unsigned recent; /* the slice that had room last */
    size_t kept;     /* as in part, of all of them */
    uint64_t is_part[SH_SLICES_MAX / 64];
    struct sh_carve_part part[SH_SLICES_MAX]; /* by slice */
};

/* The carver is all zero. */
void sh_carver_init(struct sh_carver *c, struct sh_slices *s, unsigned owner);

/* The memory may be gone, or goes: what it knows of it is forgotten. */
void sh_carver_fini(struct sh_carver *c);

/* At most half a slice, 16-aligned, at least one granule; NULL if there is no
 * memory. */
void *sh_carve(struct sh_carver *c, size_t size);

/* A block of that size, whose name is gone, is free again. */
void sh_uncarve(struct sh_carver *c, void *p, size_t size);

/* What is free takes no memory. */
void sh_carver_trim(struct sh_carver *c);

#endif /* SH_MEMORY_CARVE_H */
