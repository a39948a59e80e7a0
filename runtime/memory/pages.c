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

/* Of x86-64, and of aarch64 with pages of 4 KiB. */
#define HUGE_BYTES ((uintptr_t)2 << 20)
/* Left in small pages: who needs little of a table pays for little. */
#define SMALL_BYTES (2 * HUGE_BYTES)

/* Only asserted, hence perhaps unused. */
__attribute__((unused)) static bool whole_pages(const void *pages, size_t bytes)
{
    return (((uintptr_t)pages | bytes) & (sh_pages_size() - 1)) == 0;
}

static int map_flags(enum sh_pages_how how)
{
    switch (how) {
    case SH_PAGES_RESERVE:
    case SH_PAGES_TABLE:
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

/* One fault instead of 512 where much of it is used: each takes microseconds in
 * a virtual machine. */
static void prefer_huge(char *pages, size_t bytes)
{
    uintptr_t at = (uintptr_t)pages, end = at + SMALL_BYTES + HUGE_BYTES - 1;
    size_t before = (end & ~(HUGE_BYTES - 1)) - at;

    if (bytes < before + HUGE_BYTES || sh_fault())
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
    if (how == SH_PAGES_TABLE)
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
