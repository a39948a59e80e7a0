/* SPDX-License-Identifier: MIT */
/* process/stat.h - what the kernel says of a process or thread in one line. */
#ifndef SH_PROCESS_STAT_H
#define SH_PROCESS_STAT_H

#include <stddef.h>

/* Read the file stat at path (below dir, as openat has it) into text. Where the
 * third field begins, the state, since the second is a name that may hold
 * anything; NULL if there is no such file, or the system refuses. Any thread;
 * allocates nothing. */
const char *sh_stat_read(int dir, const char *path, char *text, size_t size);

#endif /* SH_PROCESS_STAT_H */
