/* SPDX-License-Identifier: MIT */
/*
 * shunt/auto.h - what a pool has measured of its tasks, and where they run.
 *
 *     int rc = shunt_explain(pool, stdout);
 *
 * An auto pool (SHUNT_AUTO) keeps figures of each kind of task, that is of each
 * function that SHUNT_TASK describes, and decides by them where it runs. Pools
 * of threads and of processes keep them if SHUNT_FIGURES=1 is in the
 * environment when they are made; there they decide nothing, but can be read.
 * A library whose tasks have run in a pool with figures must stay loaded as
 * long as that pool lives: nothing holds it.
 *
 * What each figure means, and how decisions are made: docs/auto.md.
 */
#ifndef SHUNT_AUTO_H
#define SHUNT_AUTO_H

#include <stdio.h>

#include "shunt/pool.h"

SHUNT_BEGIN_

/*
 * Write to a stream, as text, what pool knows of every kind of task that has
 * run: how often, and for how long; where it runs now, and why; what it would
 * cost elsewhere, as far as that was measured; and what changed when. NULL,
 * inside a task: the current pool. The stream is flushed, and stays open.
 *
 * Runs are estimated: most are not looked at one by one. Failures and crashes
 * are counted, all of them. Not in a signal handler: shunt_dump has the most
 * important figures, too.
 *
 * Blocks:  as writing to the stream does; never waits for the pool.
 * Threads: any thread of the host.
 * Errors:  SHUNT_EINVAL (pool, to); SHUNT_ENOTSUP: pool keeps no figures, or
 *          the caller is a task in a worker process; SHUNT_EFORKED; nothing is
 *          then written. -errno of the first write that failed.
 */
SHUNT_API int shunt_explain(shunt_pool *pool, FILE *to);

/*
 * The same as one JSON object, on one line. Names of tasks are UTF-8 if they
 * are that in the program; what is no UTF-8 in them becomes U+FFFD. What was
 * not measured is null. docs/auto.md has the members. All else as
 * shunt_explain.
 */
SHUNT_API int shunt_explain_json(shunt_pool *pool, FILE *to);

/*
 * Write what pool has learned of its tasks to a file of that path, so that a
 * program which begins anew can begin informed. The file is written beside that
 * place and put there when it is whole: whoever reads it meanwhile, or after a
 * failure, finds the old one.
 *
 * Blocks:  as writing files does.
 * Threads: any thread of the host.
 * Errors:  as shunt_explain; SHUNT_EINVAL: path, or what is there is no regular
 *          file (a link to one is followed); SHUNT_ENOMEM; -ENAMETOOLONG also
 *          if only what is written beside it, with up to 16 characters more,
 *          is too long a name.
 */
SHUNT_API int shunt_profile_save(shunt_pool *pool, const char *path);

/*
 * Have pool know what shunt_profile_save has written. A kind of task is known
 * again by its name (.name, or the function's) and the sizes of its input and
 * result; one that has not run yet is remembered until it does. What pool has
 * measured of a kind itself is forgotten for what the file says of it.
 *
 * A kind that has crashed is one that has crashed, whichever of the two knows
 * it, and what the traits of a task forbid stays forbidden.
 *
 * Blocks:  as reading files does.
 * Threads: any thread of the host.
 * Errors:  as shunt_explain; SHUNT_ENOMEM; SHUNT_EINVAL: also if the file is
 *          none such, or of another version, or damaged: shunt_last_error says
 *          what is wrong with which line. -errno if it cannot be read. Nothing
 *          has changed then.
 */
SHUNT_API int shunt_profile_load(shunt_pool *pool, const char *path);

/*
 * From now on, write to a stream what each decision is made from, and what it
 * is: a line for each kind of task, every 10 ms in which it was measured. The
 * format is that of the recorded traces which the decisions can be made anew
 * from; docs/auto.md. NULL ends that: when the call has returned nothing is
 * written any more. Until then, or until pool is freed, the stream stays open.
 *
 * It is written to by the thread that also has timers happen: let it be a file,
 * and not a pipe that is read slowly; and who calls any function of this header
 * does not hold its lock (flockfile).
 *
 * Blocks:  while a line is being written.
 * Threads: any thread of the host.
 * Errors:  as shunt_explain, but to may be NULL; of what was written so far to
 *          the stream before: -errno.
 */
SHUNT_API int shunt_trace_decisions(shunt_pool *pool, FILE *to);

SHUNT_END_

#endif /* SHUNT_AUTO_H */
