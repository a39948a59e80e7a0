/* SPDX-License-Identifier: MIT */
/*
 * memory/pages.h - whole pages from the kernel, and back to it.
 *
 * The only place of the runtime that maps anonymous memory. Every call that
 * the kernel may refuse can be made to fail by base/fault.h; each of them is
 * one call of sh_fault().
 *
 * All functions: any thread; they block no longer than their system call.
 * Addresses and sizes are multiples of sh_pages_size(), except that of map,
 * which is rounded up.
 */
#ifndef SH_MEMORY_PAGES_H
#define SH_MEMORY_PAGES_H

#include <stdbool.h>
#include <stddef.h>

enum sh_pages_how {
    SH_PAGES_RW,      /* to be used soon: counts as committed memory */
    SH_PAGES_RESERVE, /* a large table of which little may ever be touched:
                         readable, writable, zero, and not committed */
    SH_PAGES_TABLE,   /* as RESERVE, and used from its beginning on: behind its
                         first 4 to 6 MiB in huge pages, if there are any */
    SH_PAGES_STACK    /* as RESERVE, and never in huge pages: a stack of which
                         one page is used must not cost 2 MiB */
};

/* The size of a page, a power of two. */
size_t sh_pages_size(void);

/* bytes, up to whole pages. What would overflow becomes the largest number of
 * whole pages there is, which no mapping can have, so that map refuses it. */
size_t sh_pages_round(size_t bytes);

/* Fresh pages, all zero; NULL when the kernel refuses. Give with unmap. */
void *sh_pages_map(size_t bytes, enum sh_pages_how how);

/* Make any access to these pages fault. False when the kernel refuses: this
 * may split a mapping in two, and their number is limited. */
bool sh_pages_guard(void *pages, size_t bytes);

/*
 * The content is no longer needed: the kernel may have the memory back. The
 * pages stay mapped. A hint: when refused (as for locked memory) nothing
 * happens, so what is read afterwards is zero or the old content.
 */
void sh_pages_discard(void *pages, size_t bytes);

/*
 * Undo map, in whole or in part. Not subject to faults: there is nothing that
 * a caller could do about one, and the kernel refuses only to cut a hole into
 * a mapping while the process has as many of them as it may.
 */
void sh_pages_unmap(void *pages, size_t bytes);

#endif /* SH_MEMORY_PAGES_H */
