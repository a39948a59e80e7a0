/* SPDX-License-Identifier: MIT */
/*
 * memory/known.h - which addresses the worker processes of a pool have of the
 * program.
 *
 * Idea. They have its memory as it was when the seed was forked. What was
 * mapped later, such as a library with its tasks, is not there: to look at such
 * a task is a crash, and the next worker would do the same. So what was mapped
 * is noted before the fork, and each pool has a copy, which everybody asks.
 *
 * Edges. None: a copy never changes. Crash. Nothing to repair.
 */
#ifndef SH_MEMORY_KNOWN_H
#define SH_MEMORY_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/arena.h"

#define SH_KNOWN_MAX 1024u

struct sh_known {
    uint32_t count; /* 0: all is taken to be known */
    struct sh_span {
        uintptr_t low, high;
    } spans[SH_KNOWN_MAX]; /* in order */
};

/* Note what is mapped now. What cannot be read, or is too much, is known. One
 * thread at a time. */
void sh_known_note(struct sh_known *known);

/* Whether it has that address. */
bool sh_known_has(const struct sh_known *known, const void *address);

#endif /* SH_MEMORY_KNOWN_H */
