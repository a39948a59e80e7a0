/* SPDX-License-Identifier: MIT */
/*
 * memory/jemalloc/jemalloc_private.h - the part of jemalloc that shunt uses.
 *
 * Idea. The library carries a copy of jemalloc under names of its own, so
 * that linking shunt leaves the program's malloc alone (relink.sh makes it).
 * A build with -Dallocator=host has host.c behind the same names instead:
 * the program's malloc, without arenas. Which of the two was linked is
 * sh_je_has_arenas.
 *
 * The functions are those of jemalloc(3), without change. A pointer goes back
 * to the family that it came from: never to free().
 *
 * fork. The copy registers its own atfork handlers when it is loaded, so a
 * child of a program with threads may allocate. They write to pages all over
 * its heap, each of which is then copied; who has no other thread, and forks
 * often, spares itself that (sh_je_alone).
 */
#ifndef SH_MEMORY_JEMALLOC_PRIVATE_H
#define SH_MEMORY_JEMALLOC_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

/* True: jemalloc. False: the host's malloc, where MALLOCX_ARENA and
 * MALLOCX_TCACHE mean nothing and mallctl knows no name. */
extern const bool sh_je_has_arenas;

/* The flags, as in jemalloc/jemalloc.h; fixed for jemalloc 5. */
#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ALIGN(a) (__builtin_ctzll((unsigned long long)(a)))
#define MALLOCX_ZERO ((int)0x40)
#define MALLOCX_TCACHE(tc) ((int)(((tc) + 2) << 8))
#define MALLOCX_TCACHE_NONE MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(a) ((((int)(a)) + 1) << 20)

/* size must not be 0 in any of these. NULL if there is no memory. */
void *sh_je_mallocx(size_t size, int flags)
    __attribute__((malloc, alloc_size(1)));
void *sh_je_rallocx(void *p, size_t size, int flags)
    __attribute__((alloc_size(2)));

/* The usable size of a block, and the one that a request would get. */
size_t sh_je_sallocx(const void *p, int flags);
size_t sh_je_nallocx(size_t size, int flags);

/* p must not be NULL; size is one that the block was asked for with. */
void sh_je_dallocx(void *p, int flags);
void sh_je_sdallocx(void *p, size_t size, int flags);

/* Both return an errno value, not negated, as jemalloc does. */
int sh_je_mallctl(const char *name, void *old, size_t *old_size,
                  void *new_value, size_t new_size);
int sh_je_mallctlnametomib(const char *name, size_t *mib, size_t *mib_length);
int sh_je_mallctlbymib(const size_t *mib, size_t mib_length, void *old,
                       size_t *old_size, void *new_value, size_t new_size);

/* Say whether this process has no other thread when it forks; its children have
 * that from their parent. If it is not so, a child may wait for ever for a lock
 * that another thread had. */
void sh_je_alone(bool is_alone);

#endif /* SH_MEMORY_JEMALLOC_PRIVATE_H */
