/* SPDX-License-Identifier: MIT */
/*
 * process/dwarf.h - functions and lines from debugging information.
 *
 * dwarf.c has libdw (elfutils) read it, which is loaded when it is first
 * needed: a program that uses shunt needs it neither to be built nor to run.
 * dwarf_none.c stands in where its headers are not there.
 *
 * One thread at a time for a session. Not in a signal handler.
 */
#ifndef SH_PROCESS_DWARF_H
#define SH_PROCESS_DWARF_H

#include <stddef.h>
#include <stdint.h>

#include "process/symbols.h"

struct sh_dwarf;

struct sh_spot {
    const char *function; /* lives as long as the session; or NULL */
    const char *file;     /* as function; without folders; or NULL */
    int line;
};

/* NULL if there is nothing to read with, or no memory. */
struct sh_dwarf *sh_dwarf_open(void);
void sh_dwarf_close(struct sh_dwarf *d);

/* The functions that the code at pc belongs to: what was inlined, innermost
 * first, and at last what it was inlined into. Returns how many are in to; 0 if
 * m says nothing of pc. d may be NULL. */
size_t sh_dwarf_find(struct sh_dwarf *d, const struct sh_module *m,
                     uintptr_t pc, struct sh_spot *to, size_t max);

#endif /* SH_PROCESS_DWARF_H */
