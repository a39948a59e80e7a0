/* SPDX-License-Identifier: MIT */
/*
 * process/symbols.h - what code at an address is called.
 *
 *     #0 parse_title at titles.c:120
 *     #1 strlen in libc.so.6
 *     #2 titles+0x1234
 *
 * Idea. The dead worker has left addresses, and the host and the other workers
 * have the same code at the same ones. Names and lines are looked up there,
 * where nothing is broken, by who wants to know (task/trace.h): in the debugging information, if libdw is there to read it
 * (dwarf.h), else in what the loader knows; else an address is an offset in its
 * file. A function that was inlined has a line of its own.
 *
 * The frames of the runtime, below the task, say nothing to who wrote the task:
 * its function is the last that is shown. What calls that is known by its name,
 * or by the tables of the unwinder; the compiler may have it jump there, and
 * then the runtime's own function comes next.
 *
 * Limits. Lines are those of the file on disk: if a library was replaced while
 * the program ran, they are wrong. After half a second of processor time only
 * the loader is asked, and from a file of more than half a gigabyte nothing is
 * read.
 *
 * Any thread; not in a signal handler.
 */
#ifndef SH_PROCESS_SYMBOLS_H
#define SH_PROCESS_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "task/trace.h"

/* A file of code, in this process. */
struct sh_module {
    char path[256];   /* that can be opened if it begins with '/' */
    const char *name; /* within path, or a name of its own */
    uintptr_t bias;   /* of addresses, to those in the file */
    bool is_program;
};

/* The file that an address lies in, code or data. False if it is none. */
bool sh_module_find(uintptr_t address, struct sh_module *m);

/* Write a trace, one line a frame, and no end of line after the last; what does
 * not fit is left out, line by line. task is what ran, or NULL. */
void sh_symbols_tell(const struct sh_trace *trace, const shunt_task *task,
                     char *to, size_t size);

/* A sh_teller. It does not need much of the calling stack, which may be a
 * task's: a thread of its own does the work. */
char *sh_symbols_words(const struct sh_untold *untold);

#endif /* SH_PROCESS_SYMBOLS_H */
