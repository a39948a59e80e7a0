/* SPDX-License-Identifier: MIT */
/*
 * shunt/blocking.h - tasks that wait in the kernel, and who runs meanwhile.
 *
 *     int rc = shunt_blocking_begin();
 *     FILE *f = fopen("/far/away", "r");
 *     if (rc == 0)
 *         rc = shunt_blocking_end();
 *     if (f != NULL)
 *         fclose(f);
 *
 * A pool has as many workers as there are CPUs to use. A task that sleeps in a
 * system call keeps its worker, and the CPU is free. If it says so, another
 * worker runs in that one's stead: as soon as something is queued for which no
 * worker is idle, and up to .blocking_max of them (shunt/pool.h). A task that
 * mostly waits has the trait .blocking, and need not say it. shunt_await and
 * the other calls that wait for futures park the task anyway: they are not to
 * be in a section.
 *
 * A pool notices by itself what does not say so: a task that has run for about
 * 20 ms while something was queued, and whose thread sleeps at two looks in a
 * row. Its worker counts as blocked then until its code ends, waits for a
 * future, begins a section, or is seen to run. So a pool with one worker does
 * not keep two tasks from running at one time, unless .blocking_max is
 * negative: a mutex does.
 *
 * A thread stands in for a thread, and for a worker process another process:
 * that is forked when it is first needed, which takes some milliseconds, and
 * stays. Nobody stands in for a process that runs what is .exclusive, nor, in a
 * process pool, for what is .host_only; sections are only counted there.
 *
 * After Java's ForkJoinPool.ManagedBlocker, Tokio's block_in_place and Go's
 * handoffp and sysmon: docs/decisions/0044-standing-in-for-what-blocks.md.
 */
#ifndef SHUNT_BLOCKING_H
#define SHUNT_BLOCKING_H

#include "shunt/pool.h"

SHUNT_BEGIN_

/*
 * The calling task is about to wait in the kernel for long. Sections nest: the
 * outermost counts. If as many stand in as may, the task goes on all the same,
 * and others wait for its worker.
 *
 * A section that is open when the task waits for a future, or ends, is over
 * then; all levels of it. That is no error.
 *
 * Blocks:  never. It is one atomic exchange, unless something is queued already
 *          and nobody is there for it: then it wakes one that rests, or the
 *          thread that has others started.
 * Threads: a task, on its own thread.
 * Errors:  SHUNT_EINVAL outside of tasks, SHUNT_EFORKED in the child of one.
 */
SHUNT_API int shunt_blocking_begin(void);

/*
 * The innermost section that is open ends. When it was the outermost, there is
 * one worker too many for a while: the one that stands in rests when it finds
 * nothing to do.
 *
 * Blocks:  never.
 * Threads: a task, on its own thread.
 * Errors:  SHUNT_EINVAL outside of tasks, or if none is open (the trait opens
 *          none that could be ended); SHUNT_EFORKED as above.
 */
SHUNT_API int shunt_blocking_end(void);

SHUNT_END_

#endif /* SHUNT_BLOCKING_H */
