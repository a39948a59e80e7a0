/* SPDX-License-Identifier: MIT */
/* unit/resident.h - asks the kernel about the page of an address. */
#ifndef SH_UNIT_RESIDENT_H
#define SH_UNIT_RESIDENT_H

#include <stdint.h>
#include <sys/mman.h>

#include "memory/pages.h"

/* Whether the page of p is in memory: 1, 0, or -1 if nothing is mapped. */
static inline int resident(char *p)
{
    size_t page = sh_pages_size();
    unsigned char in_memory;

    if (mincore(p - (uintptr_t)p % page, page, &in_memory) != 0)
        return -1;
    return in_memory & 1;
}

#endif /* SH_UNIT_RESIDENT_H */
