/* SPDX-License-Identifier: MIT */
/*
 * memory/pages.c - whole pages from the kernel, and back to it.
 */
#include "memory/pages.h"

#include "base/assert.h"
#include "base/fault.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

size_t sh_pages_size(void)
{
    /* The C library answers from a variable; this cannot fail on Linux. */
    long size = sysconf(_SC_PAGESIZE);

    SH_ASSERT(size > 0);
    SH_ASSERT((size & (size - 1)) == 0);
    return (size_t)size;
}

size_t sh_pages_round(size_t bytes)
{
    size_t mask = sh_pages_size() - 1;

    if (bytes > SIZE_MAX - mask)
        return SIZE_MAX & ~mask;
    return (bytes + mask) & ~mask;
}

#define HUGE ((uintptr_t)2 << 20)
/* Who needs little of a reservation pays for little. */
#define SMALL (2 * HUGE)

/* Only asserted, hence perhaps unused. */
__attribute__((unused)) static bool whole_pages(const void *pages, size_t bytes)
{
    return (((uintptr_t)pages | bytes) & (sh_pages_size() - 1)) == 0;
}

static int map_flags(enum sh_pages_how how)
{
    switch (how) {
    case SH_PAGES_RESERVE:
        return MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    case SH_PAGES_STACK:
        /* MAP_STACK keeps huge pages away since Linux 6.7. Before, the guard
         * pages do: between two of them a stack of the usual size has no
         * aligned room for a huge page. */
        return MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    case SH_PAGES_RW:
        break;
    }
    return MAP_PRIVATE | MAP_ANONYMOUS;
}

/* A fault for every 16,384 records instead of one for every 32. */
static void prefer_huge(char *pages, size_t bytes)
{
    size_t before = (((uintptr_t)pages + SMALL + HUGE - 1) & ~(HUGE - 1)) -
                    (uintptr_t)pages;

    if (bytes < before + HUGE || sh_fault())
        return;
    /* A hint, which kernels without huge pages refuse. */
    (void)madvise(pages + before, bytes - before, MADV_HUGEPAGE);
}

void *sh_pages_map(size_t bytes, enum sh_pages_how how)
{
    SH_ASSERT(bytes > 0);
    if (sh_fault())
        return NULL;

    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, map_flags(how),
                       /* no file */ -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    SH_ASSERT(whole_pages(pages, 0));
    if (how == SH_PAGES_RESERVE)
        prefer_huge(pages, bytes);
    return pages;
}

bool sh_pages_guard(void *pages, size_t bytes)
{
    SH_ASSERT(pages != NULL && bytes > 0);
    SH_ASSERT(whole_pages(pages, bytes));
    if (sh_fault())
        return false;
    return mprotect(pages, bytes, PROT_NONE) == 0;
}

void sh_pages_discard(void *pages, size_t bytes)
{
    SH_ASSERT(pages != NULL && bytes > 0);
    SH_ASSERT(whole_pages(pages, bytes));
    if (sh_fault())
        return;
    /* A refusal is part of the contract, hence not looked at. */
    (void)madvise(pages, bytes, MADV_DONTNEED);
}

void sh_pages_unmap(void *pages, size_t bytes)
{
    SH_ASSERT(pages != NULL && bytes > 0);
    SH_ASSERT(whole_pages(pages, 0));
    /* Fails only as the header says. What is then lost is address space. */
    (void)munmap(pages, bytes);
}
