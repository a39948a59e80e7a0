/* SPDX-License-Identifier: MIT */
/* memory/known.c - which addresses worker processes have of the program. */
#include "memory/known.h"

#include <stdio.h>

#include "base/fault.h"

/* False if there is no room. Neighbours become one. */
static bool add(struct sh_known *known, uintptr_t low, uintptr_t high)
{
    uint32_t n = known->count;

    if (n > 0 && known->spans[n - 1].high == low) {
        known->spans[n - 1].high = high;
        return true;
    }
    if (n == SH_KNOWN_MAX)
        return false;
    known->spans[n] = (struct sh_span){ low, high };
    known->count = n + 1;
    return true;
}

void sh_known_note(struct sh_known *known)
{
    FILE *f = sh_fault() ? NULL : fopen("/proc/self/maps", "re");
    unsigned long long low, high;
    bool whole = f != NULL;

    known->count = 0;
    while (whole && fscanf(f, "%llx-%llx%*[^\n]", &low, &high) == 2)
        whole = add(known, (uintptr_t)low, (uintptr_t)high);
    if (!whole)
        known->count = 0;
    if (f != NULL)
        fclose(f);
}

bool sh_known_has(const struct sh_known *known, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    uint32_t first = 0, end = known->count;

    while (first < end) {
        uint32_t middle = first + (end - first) / 2;

        if (at < known->spans[middle].low)
            end = middle;
        else if (at >= known->spans[middle].high)
            first = middle + 1;
        else
            return true;
    }
    return known->count == 0;
}
