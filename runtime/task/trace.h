/* SPDX-License-Identifier: MIT */
/*
 * task/trace.h - backtraces of errors, which are put into words when somebody
 * reads them.
 *
 *     death: addresses, behind the error ... lent: -> words, once and for all
 *
 * Idea. Finding out what addresses are called takes up to half a second, in
 * files that nobody may ever ask for. So an error keeps the addresses, and
 * whoever lends it to a user has them told first: from then on it changes no
 * more. Until then its backtrace is the empty string that they begin with,
 * directly behind the error, and that is how it is known that it has any.
 *
 * Edges.
 *   told   tell: CAS of the words, then of the backtrace -> tell, free, copy:
 *          read them                                         the words
 *
 * Crash. Each teller has words of its own, and one of them is taken. Of one
 * that dies before that, the words may be lost until the pool is freed; the
 * next reader begins anew.
 */
#ifndef SH_TASK_TRACE_H
#define SH_TASK_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "shunt/errors.h"
#include "shunt/task.h"

#define SH_TRACE_MAX 64u

struct sh_trace {
    uintptr_t at[SH_TRACE_MAX]; /* innermost first: where it stopped, then
                                   return addresses */
    size_t count;
    size_t gap;     /* this one is not the caller of the one before it, */
    size_t omitted; /* as so many are missing in between; 0: none */
};

struct sh_untold {
    char empty[sizeof(void *)]; /* the backtrace, until it is told */
    const shunt_task *task;     /* that ran, or NULL */
    struct sh_trace trace;
};

/* What a backtrace is in words, as by malloc; NULL if there is no memory. */
typedef char *sh_teller(const struct sh_untold *untold);

/* Of a folder below: who finds the words in this process. */
void sh_trace_tell_by(sh_teller *teller);

/* What lies behind an error whose backtrace is that, and not told; NULL: it is,
 * or there is none. */
static inline const struct sh_untold *sh_untold_in(const shunt_error *error,
                                                   const char *backtrace)
{
    const void *behind = error + 1;

    return backtrace == behind ? behind : NULL;
}

/* What the backtrace of an error is now: the words, or "" if they are not told.
 * It may be told at any moment. */
const char *sh_backtrace_of(const shunt_error *error);

/* About to be lent to a user: tell its backtrace, and those of its causes.
 * Returns error, which is a constant or in a block. Not in a signal handler.
 * Blocks: while files are read. */
const shunt_error *sh_error_tell(const shunt_error *error);

/* The same of a copy (sh_error_copy), which is the caller's alone. */
void sh_copy_tell(shunt_error *copy);

#endif /* SH_TASK_TRACE_H */
