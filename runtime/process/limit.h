/* SPDX-License-Identifier: MIT */
/*
 * process/limit.h - how much memory of its own a worker process may have.
 *
 * Idea. RLIMIT_DATA bounds what is private and may be written: the heap and
 * anonymous mappings of one process, by addresses, as soon as they are asked
 * for. So malloc answers NULL, or throws, in the task that wants too much, and
 * that task alone fails, by itself or by what it does next. The pool's memory is
 * a shared mapping, and does not count (.arena_bytes is for that); RLIMIT_AS
 * would count it, with its reserve of 64 GiB. What the process has of the host
 * since it was forked does count, and is what the limit is on top of.
 *
 * Edges. None. Crash. The kernel keeps the limit.
 */
#ifndef SH_PROCESS_LIMIT_H
#define SH_PROCESS_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of private memory that this process may write to; 0: not known. Any
 * thread, signal handlers too. */
size_t sh_limit_used(void);

/* From now on at most so many more, for this process and those that it starts.
 * False if the system refuses. */
bool sh_limit_set(size_t more);

/* How many of those it has; 0 if there is no limit, or that is not known. Signal
 * handlers too. */
size_t sh_limit_taken(void);

#endif /* SH_PROCESS_LIMIT_H */
