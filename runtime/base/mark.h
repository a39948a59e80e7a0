/* SPDX-License-Identifier: MIT */
/*
 * base/mark.h - whether a descriptor still means what it meant.
 *
 * Idea. The library's descriptors are the program's, which may close all that
 * it does not know, and open files that get their numbers. A mark says which
 * file was meant. It tells sockets and memory apart from all else; pidfds and
 * eventfds have one file in common, so for them it says only that no other kind
 * of file has taken their place.
 */
#ifndef SH_BASE_MARK_H
#define SH_BASE_MARK_H

#include <stdbool.h>
#include <stdint.h>

struct sh_mark {
    uint64_t device, file; /* file 0: none */
};

struct sh_mark sh_mark_of(int fd);

bool sh_mark_is_of(struct sh_mark mark, int fd);

#endif /* SH_BASE_MARK_H */
