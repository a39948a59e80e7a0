/* SPDX-License-Identifier: MIT */
/*
 * memory/jemalloc/host.c - the program's malloc under jemalloc's interface.
 *
 * Idea. For builds that cannot or shall not carry jemalloc: plugins that are
 * loaded at run time, sanitizers that want to see every block, machines
 * without the package. Flags that name an arena or a cache are ignored;
 * alignment and zeroing are kept.
 */
#include "memory/jemalloc/jemalloc_private.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

const bool sh_je_has_arenas = false;

/* What malloc aligns to by itself. */
static const size_t natural = _Alignof(max_align_t);

static size_t alignment_of(int flags)
{
    size_t alignment = (size_t)1 << (flags & 0x3f);

    return alignment < natural ? natural : alignment;
}

static bool wants_zero(int flags)
{
    return (flags & MALLOCX_ZERO) != 0;
}

void *sh_je_mallocx(size_t size, int flags)
{
    size_t alignment = alignment_of(flags);
    void *p = NULL;

    if (alignment == natural)
        return wants_zero(flags) ? calloc(1, size) : malloc(size);
    if (posix_memalign(&p, alignment, size) != 0)
        return NULL;
    if (wants_zero(flags))
        memset(p, 0, size);
    return p;
}

/* realloc keeps neither a larger alignment nor zeroes what is new, and
 * jemalloc's promise about the latter is up to the usable size. */
void *sh_je_rallocx(void *p, size_t size, int flags)
{
    if (alignment_of(flags) == natural && !wants_zero(flags))
        return realloc(p, size);

    void *moved = sh_je_mallocx(size, flags);

    if (moved == NULL)
        return NULL;
    size_t old_size = malloc_usable_size(p);
    memcpy(moved, p, old_size < size ? old_size : size);
    free(p);
    return moved;
}

size_t sh_je_sallocx(const void *p, int flags)
{
    (void)flags;
    return malloc_usable_size((void *)(uintptr_t)p);
}

size_t sh_je_nallocx(size_t size, int flags)
{
    size_t alignment = alignment_of(flags);

    if (size > SIZE_MAX - alignment)
        return 0;
    return (size + alignment - 1) / alignment * alignment;
}

void sh_je_dallocx(void *p, int flags)
{
    (void)flags;
    free(p);
}

void sh_je_sdallocx(void *p, size_t size, int flags)
{
    (void)size;
    (void)flags;
    free(p);
}

int sh_je_mallctl(const char *name, void *old, size_t *old_size,
                  void *new_value, size_t new_size)
{
    (void)name;
    (void)old;
    (void)old_size;
    (void)new_value;
    (void)new_size;
    return ENOENT;
}

int sh_je_mallctlnametomib(const char *name, size_t *mib, size_t *mib_length)
{
    (void)name;
    (void)mib;
    (void)mib_length;
    return ENOENT;
}

int sh_je_mallctlbymib(const size_t *mib, size_t mib_length, void *old,
                       size_t *old_size, void *new_value, size_t new_size)
{
    (void)mib;
    (void)mib_length;
    (void)old;
    (void)old_size;
    (void)new_value;
    (void)new_size;
    return ENOENT;
}

void sh_je_alone(bool is_alone)
{
    (void)is_alone;
}
