/* SPDX-License-Identifier: MIT */
/*
 * fiber/stacks.h - a worker's pool of guarded stacks.
 *
 *     low address                                            high address
 *     | guard: no access | stack ............. grows down <- | sh_fiber |
 *      SH_STACKS_GUARD    stack_bytes, the struct included
 *
 * Idea. A stack is one mapping: the fiber's struct at its upper end, where the
 * first page is touched anyway, and at its lower end a guard, so that overflow
 * faults instead of writing into somebody else's stack. The guard is larger
 * than a page because it costs addresses only: code that is not compiled with
 * -fstack-clash-protection may step over a small one with a large array.
 *
 * Limits. A stack is two mappings to the kernel, guard and rest, of which a
 * process has 65,530 by default (sysctl vm.max_map_count): about 30,000 stacks
 * in a process, over all its workers. Memory is a page or two for each stack
 * that never went deep.
 *
 * Cache. Stacks that were given back wait in a list, the last one first as it
 * is warm; what is beyond SH_STACKS_CACHED_MAX is unmapped at once. A cached
 * stack keeps the memory of its upper SH_STACKS_KEEP bytes. If it was used
 * deeply, what is below goes back to the kernel; see stacks.c for how that is
 * found out, and what is missed for how long.
 *
 * In an arena, which takes no addresses back, no stack is unmapped: what is
 * beyond the maximum keeps the page of its struct. The pool of a worker process
 * is inherited by the one that replaces it.
 *
 * Crash. Of a dead process's pool nothing counts but the list of all stacks,
 * which one store extends, and which of them are pinned; inherit makes the rest
 * of it.
 *
 * Pins. A stack that other processes use stays as it is, whatever becomes of
 * its owner, until the host unpins it; then the owner takes it when it has no
 * other.
 *
 * Edges.
 *   pinned   stacks.c
 *
 * Threads: the owner alone, every function and every field; but unpin is the
 * host's, and all is when the owner's process is dead. Blocks: never, but for
 * the system calls to map and unmap.
 */
#ifndef SH_FIBER_STACKS_H
#define SH_FIBER_STACKS_H

#include <stddef.h>

#include "fiber/fiber.h"

/* A multiple of every page size that Linux has on our processors. */
#define SH_STACKS_GUARD ((size_t)64 * 1024)
#define SH_STACKS_BYTES_MIN ((size_t)16 * 1024)
#define SH_STACKS_KEEP ((size_t)16 * 1024)
#define SH_STACKS_CACHED_MAX 64u

struct sh_arena;

/* Of a stack. */
enum sh_pinned {
    SH_NOT_PINNED,
    SH_PINNED,
    SH_UNPINNED /* the owner has yet to see that */
};

struct sh_stacks {
    struct sh_arena *arena; /* that they lie in; NULL: memory of this process */
    size_t stack_bytes;     /* of each, without the guard; whole pages */
    size_t keep_bytes;      /* SH_STACKS_KEEP in whole pages */
    struct sh_fiber *free;  /* linked by next; each is FRESH */
    unsigned free_count;
    unsigned live;        /* taken and not given back */
    uint64_t made;        /* mapped since init: how well the cache does */
    struct sh_fiber *all; /* in an arena: the last one mapped; by older */
    char *aside;     /* in an arena: addresses for the first one, or NULL */
    unsigned pinned; /* pinned, or unpinned and not taken since */
};

/* An empty pool of stacks of at least stack_bytes, in an arena or in memory of
 * this process (NULL). Allocates nothing. */
void sh_stacks_init(struct sh_stacks *s, struct sh_arena *arena,
                    size_t stack_bytes);

/* In an arena, before anything is taken: set aside addresses for the first one,
 * which take no memory. False if there are none left. */
bool sh_stacks_reserve(struct sh_stacks *s);

/* A FRESH fiber, yours until it is given back. NULL when the kernel refuses
 * another mapping or the memory; the pool is then unchanged. */
struct sh_fiber *sh_stacks_take(struct sh_stacks *s);

/*
 * Give back a fiber of this pool that is FRESH, LEFT, or PARKED and never to
 * be gone back to. Not the one that runs: it may be unmapped at once.
 */
void sh_stacks_give(struct sh_stacks *s, struct sh_fiber *f);

/* In a process that takes over the pool of one that has died: all its stacks
 * are free again, and guarded here. False when the kernel refuses. */
bool sh_stacks_inherit(struct sh_stacks *s);

/* The stack of an arena that p points into; NULL: there is none. */
struct sh_fiber *sh_stacks_of(const struct sh_stacks *s, const void *p);

/* The owner, or who repairs after its death: others use a stack that is not
 * given back. The host: nobody does any more. */
void sh_stacks_pin(struct sh_stacks *s, struct sh_fiber *f);
void sh_stacks_unpin(struct sh_fiber *f);

/* Unmap what is cached. All that was taken has been given back. */
void sh_stacks_fini(struct sh_stacks *s);

#endif /* SH_FIBER_STACKS_H */
