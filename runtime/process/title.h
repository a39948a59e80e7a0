/* SPDX-License-Identifier: MIT */
/*
 * process/title.h - what lists of processes call one of ours.
 *
 * Idea. A process has a short name, which its main thread's is, and a command
 * line, which the kernel reads from the process's own memory. To change the
 * latter others overwrite the strings of argv; but a program may have kept
 * pointers to its arguments, which its tasks may well read. So the kernel is
 * told to read it elsewhere: from a page of ours, which each process then
 * writes as it likes. If the kernel refuses, there are the short names.
 */
#ifndef SH_PROCESS_TITLE_H
#define SH_PROCESS_TITLE_H

#include <stdbool.h>

/* Have a page for the command line of this process, and of all that are forked
 * from it. False if there is none; sh_title_set works without. */
bool sh_title_prepare(void);

/* Call this process so: brief, as far as 15 characters go, and as its command
 * line text, with name after it if that is not empty, as far as 63 go. */
void sh_title_set(const char *brief, const char *text, const char *name);

#endif /* SH_PROCESS_TITLE_H */
