/* SPDX-License-Identifier: MIT */
/* process/dwarf_none.c - no debugging information: see dwarf.h. */
#include "process/dwarf.h"

struct sh_dwarf *sh_dwarf_open(void)
{
    return NULL;
}

void sh_dwarf_close(struct sh_dwarf *d)
{
    (void)d;
}

size_t sh_dwarf_find(struct sh_dwarf *d, const struct sh_module *m,
                     uintptr_t pc, struct sh_spot *to, size_t max)
{
    (void)d;
    (void)m;
    (void)pc;
    (void)to;
    (void)max;
    return 0;
}
