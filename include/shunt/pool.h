/* SPDX-License-Identifier: MIT */
/*
 * shunt/pool.h - pools: where tasks run, and how that ends.
 *
 * A pool has a fixed number of workers, each with a deque of tasks from which
 * the others steal (Blumofe & Leiserson 1999; Chase & Lev 2005). One option
 * decides where tasks run; no other line of a program depends on it.
 *
 * An auto pool has as many processes as .workers says, and as many threads as
 * soon as a kind of task has left isolation. What is said of process pools
 * holds for auto pools, but for what runs on threads of the host: that is as on
 * threads, its crashes too. In an auto pool of one worker nothing leaves
 * processes by itself, so that it runs one task at a time; but what .place or
 * .host_only puts on a thread runs beside that.
 *
 * In a process pool the workers are processes, forked from a copy of the
 * program. A crash costs the task that crashed and what was parked in its
 * process; the pool goes on. What can be relied on, and what is still missing
 * in this version: docs/isolation.md.
 *
 * A child that the program forks may not use its parent's pools: every call
 * answers SHUNT_EFORKED there. It may make pools of its own, but not if it was
 * forked by a task of a process pool (SHUNT_ENOTSUP). Such a child may read the
 * memory of the pool, its task's values among it, but not write to it.
 */
#ifndef SHUNT_POOL_H
#define SHUNT_POOL_H

#include "shunt/task.h"

SHUNT_BEGIN_

/* The switch. */
enum shunt_mode {
    SHUNT_MODE_DEFAULT = 0, /* $SHUNT_MODE (threads, processes, auto), or
                             * threads */
    SHUNT_THREADS = 1,
    SHUNT_PROCESSES = 2, /* see docs/isolation.md */
    SHUNT_AUTO = 3       /* processes, and threads beside them: where a kind of
                          * task runs is measured; see docs/auto.md */
};

/* The most workers that a pool can have. */
#define SHUNT_WORKERS_MAX 1024

/*
 * Zero means default everywhere. What code sets wins over the environment.
 */
typedef struct shunt_options {
    /* Where tasks run: enum shunt_mode. */
    int mode SHUNT_DEFAULT_(0);
    /* How many workers; 0: $SHUNT_WORKERS, else as many as the process may
     * use CPUs, by affinity mask and cgroup quota (rounded up). */
    int workers SHUNT_DEFAULT_(0);
    /* How many tasks that were submitted from outside the pool may be queued
     * and not yet started; 0: 1,048,576. A pool's own tasks and continuations
     * are exempt, so a task never waits for room. Of an auto pool: so many for
     * its processes, and as many for its threads. */
    size_t queue_max SHUNT_DEFAULT_(0);
    /* Upper limit of the memory for records, results and allocations of this
     * pool in bytes; 0: none but the machine's. Beyond it: SHUNT_ENOMEM. */
    size_t arena_bytes SHUNT_DEFAULT_(0);
    /* Stack of a task in bytes, rounded up to pages; 0: 256 KiB. Below 16 KiB,
     * or above 1 TiB, is SHUNT_EINVAL. Only what is touched takes memory, but
     * all of it takes addresses: SHUNT_ENOMEM if there are none for a stack of
     * each worker, and in a process pool as many again, for .exclusive tasks.
     * A task that is to wait when there are none for another stack gets
     * SHUNT_ENOMEM instead. */
    size_t stack_bytes SHUNT_DEFAULT_(0);
    /* Runs on every worker before its first task. If one returns non-zero,
     * tasks that are pending and all later ones fail with SHUNT_EBROKEN. In a
     * process pool it runs in every worker process, those too that take the
     * place of others; if five in a row die before it has returned, that is as
     * if it had returned non-zero. The message says what it returned, or how
     * the last one died. Where one fails that was to stand in for others
     * (.spares, .blocking_max), there is one less, and nothing else: of
     * processes none is tried any more in that pool after five in a row. A
     * worker whose .init never returns runs no task. */
    int (*init)(void *arg) SHUNT_DEFAULT_(nullptr);
    void *init_arg SHUNT_DEFAULT_(nullptr);
    /* Let .untrusted and .thread_unsafe tasks run on threads of the host. A
     * process pool runs them in any case. */
    bool allow_unsafe SHUNT_DEFAULT_(false);
    /* Process pools: fork the seed although threads run already. What those
     * have locked, but for the C library's own locks, and what they have half
     * written, stays so in every worker process. */
    bool fork_with_threads SHUNT_DEFAULT_(false);
    /* Names the worker threads NAME-0, NAME-1, ...; "shunt" if NULL. The
     * system keeps 15 characters. Worker processes are "shunt: worker 0
     * (NAME)", ... in lists of processes. */
    const char *name SHUNT_DEFAULT_(nullptr);
    /* How many threads may run in the stead of workers whose task runs on
     * past its deadline, SHUNT_WORKERS_MAX at most; 0: as many as workers, but
     * 16 at most; negative: none. They run .init, too. Process pools have
     * none: they kill what is given up. Of an auto pool: for its threads. */
    int spares SHUNT_DEFAULT_(0);
    /* The pool's clock stands still but for shunt_pool_advance: for tests. */
    bool manual_clock SHUNT_DEFAULT_(false);
    /* Told of each failure that nobody has looked at by the time that its
     * future is freed: see shunt_unobserved_ignore. NULL: one line on standard
     * error, at most ten a second. */
    void (*unobserved)(const shunt_error *error, void *arg)
        SHUNT_DEFAULT_(nullptr);
    void *unobserved_arg SHUNT_DEFAULT_(nullptr);
    /* How many tasks and steps a worker process begins until another takes its
     * place, which runs .init; 0: no limit. It ends when what it has begun has.
     * As long as some of that waits it begins nothing more, unless all other
     * workers are in the same case: then it does, so that tasks which wait for
     * tasks come to their ends. Nor does it end while a function that it gave
     * shunt_promise_on_cancel may be called: it goes on. No task fails by it. A
     * pool of threads has no use for it, and does not look at it: they share
     * one memory. */
    size_t worker_tasks_max SHUNT_DEFAULT_(0);
    /* How much private memory a worker process may have, in bytes, beyond what
     * it has of the program when it is started: heap and anonymous mappings, by
     * addresses, of its tasks and of what those start; 0: no limit. Below 8 MiB
     * is SHUNT_EINVAL. Beyond it malloc gives NULL in the task. One that does
     * not look at that dies of it, and the message says so. What earlier tasks
     * have left in the process counts. The pool's memory does not: values, what
     * shunt_alloc gives, stacks (.arena_bytes). A pool of threads has no use for
     * it: they share the memory of the program. */
    size_t worker_bytes_max SHUNT_DEFAULT_(0);
    /* How many more, threads or processes, may run in the stead of workers
     * whose task waits in the kernel, beyond .workers and .spares: see
     * shunt/blocking.h. SHUNT_WORKERS_MAX at most; 0: $SHUNT_BLOCKING_MAX (a
     * number, or none), else 64; negative: none, and nobody looks for such
     * tasks. They are started when they are needed, run .init, too, and stay.
     * Of an auto pool: so many for its processes and for its threads each, and
     * fewer if .workers and .spares are many. */
    int blocking_max SHUNT_DEFAULT_(0);
} shunt_options;

/*
 * For .unobserved: failures that nobody looks at are nobody's business.
 *
 * A failure has been looked at when await, await_for, take, join or status
 * returned it, error_of gave it out, peek gave no value, or a recover got it,
 * for this future or for one that it was passed on to; when it became a cause
 * of another failure; and when a combinator let its future go. A finally does
 * not look at it. A task that ends by shunt_fail_as makes it its own: that
 * task's future is then to be looked at. Never reported: what was cancelled,
 * asked to cancel or ended by a shutdown, a submit that was refused, and a
 * failure whose record there was no memory for.
 *
 * The hook is called once for each failure, by whichever thread frees the
 * future: the one that gives the last handle back or frees the pool, or a
 * worker; outside of any task, and with no lock held. Of a process pool it is
 * always a thread of the host. It may call shunt, but must not wait. error is
 * lent for the call; causes of other pools are left out. After a SHUNT_KILL
 * that left code running, what is left when the pool is freed is not reported.
 */
SHUNT_API void shunt_unobserved_ignore(const shunt_error *error, void *arg);

/*
 * Prepare process pools early in main, while the program has one thread.
 * Optional: the first process pool does it otherwise. It reserves addresses and
 * forks the seed, a process that has the program's memory as it is now, and
 * from which the worker processes of all later pools are forked. The program
 * may start threads afterwards. If there is a seed already, it does nothing.
 *
 * Blocks:  until the seed has answered.
 * Threads: any.
 * Errors:  SHUNT_ENOTSUP: other threads run, or whether they do cannot be read
 *          in /proc; the kernel has no pidfds (Linux 5.3); in a worker process,
 *          or a child of one. SHUNT_ENOMEM: memory, addresses or processes.
 *          The message of shunt_last_error says which of these it was.
 */
SHUNT_API int shunt_init(void);

/*
 * Make a pool and start its workers. options may be NULL for all defaults and
 * is not kept.
 *
 *     shunt_pool *pool;
 *     int rc = shunt_pool_new(&pool, &(shunt_options){ .workers = 2 });
 *
 * Blocks:  until the workers' threads or processes exist; not for .init.
 * Threads: any, a task of another pool of threads too.
 * Errors:  SHUNT_EINVAL (pool_out NULL, a value out of range, an environment
 *          variable that cannot be understood), SHUNT_ENOMEM (memory, or
 *          threads), SHUNT_ENOTSUP (mode; in a worker process, whatever the
 *          mode), SHUNT_EAGAIN (4,095 pools exist); *pool_out is then
 *          unwritten.
 *          Of a process pool, if there is no seed yet, also those of
 *          shunt_init; with .fork_with_threads other threads do not matter.
 *          SHUNT_EAGAIN too if the system refuses to fork, SHUNT_EBROKEN if the
 *          seed dies meanwhile, SHUNT_ENOTSUP if .worker_bytes_max cannot be
 *          had.
 *          The message of shunt_last_error says what it was.
 *
 * A pool reserves about 2 GiB of addresses, which take no memory until they
 * are used; a quarter of the limit where RLIMIT_AS sets one. A process pool
 * reserves up to 64 GiB, out of up to 16 TiB that are reserved with the seed.
 * It has two threads in the host, which start workers and keep its time.
 */
SHUNT_API int shunt_pool_new_sized(shunt_pool **pool_out, size_t options_size,
                                   const shunt_options *options);
#define shunt_pool_new(pool_out, ...) \
    shunt_pool_new_sized(pool_out, sizeof(shunt_options), __VA_ARGS__)

/* How a pool is shut down. */
enum shunt_how {
    /* Everything that was accepted runs. Promises that nobody gives before
     * all else has finished fail with SHUNT_ECANCELED. */
    SHUNT_DRAIN = 0,
    /* What has not started never starts, but for shunt_finally; what runs is
     * asked to cancel and waited for. */
    SHUNT_CANCEL = 1,
    /* As SHUNT_CANCEL, and what still runs at the deadline is given up: its
     * futures fail with SHUNT_ECANCELED while the code runs on. In a process
     * pool its process is killed. That holds for .init, too. */
    SHUNT_KILL = 2
};

/*
 * Stop accepting tasks (SHUNT_ECLOSED from now on; while a SHUNT_DRAIN goes
 * on, the pool's own tasks may still submit) and bring what was accepted to an
 * end, by timeout_ns from now (SHUNT_FOREVER: take the time that it takes; 0 or
 * less: do not wait). Futures keep their values until shunt_pool_free. May be
 * called again, also with a harder how.
 *
 * left, which may be NULL, gets the number of futures that have not settled;
 * if all have, the number of tasks that were given up, by a SHUNT_KILL or at
 * their deadline, and whose code still runs at this one, and of workers whose
 * .init does.
 *
 * Tasks that wait for each other in a circle never end by themselves: a
 * SHUNT_DRAIN waits for them as long as it may, a SHUNT_CANCEL ends them.
 *
 * Blocks:  sleeps the thread until the end or the deadline; once all has
 *          settled, until the hooks that are under way have returned.
 * Threads: any outside the pool; a task of another pool sleeps its worker.
 * Errors:  SHUNT_ETIMEDOUT if something is left, SHUNT_EDEADLK inside a task
 *          of this pool, or one of its hooks (.drop, .again, .unobserved,
 *          .init, shunt_promise_on_cancel), SHUNT_EINVAL, SHUNT_EFORKED.
 */
SHUNT_API int shunt_pool_shutdown(shunt_pool *pool, enum shunt_how how,
                                  int64_t timeout_ns, size_t *left);

/*
 * Drain the pool, join its threads and free its memory, values included:
 * its handles are SHUNT_EINVAL from then on. Takes pool, unless it fails.
 * If code runs on that was given up, by a SHUNT_KILL or at its deadline, it
 * returns without that, and the last of those threads frees the memory. Of a
 * process pool no code runs on: its processes are killed and waited for.
 * Threads that sleep in a call on the pool are woken and waited for; but no
 * other call may begin or be under way, nor another shunt_pool_free. What
 * futures of other pools got from futures of this one (values, errors, memory
 * behind a taken value) goes with it: what only passes them on is SHUNT_ECLOSED
 * then. Shut down both before you free either.
 *
 * Blocks:  sleeps the thread until everything has finished.
 * Threads: any outside the pool; a task of another pool sleeps its worker.
 * Errors:  SHUNT_EDEADLK inside a task of this pool, or one of its hooks;
 *          SHUNT_EINVAL (NULL, or freed before); SHUNT_EFORKED. The pool is
 *          then unchanged.
 */
SHUNT_API int shunt_pool_free(shunt_pool *pool);

/*
 * Move the clock of a pool with .manual_clock on by ns, and let happen what is
 * due by then, before it returns: delays, timeouts, deadlines and waits that
 * run out. What follows from that in tasks happens afterwards. Of several that
 * are due, earlier ones come first. For tests: no time need pass in them.
 *
 * Blocks:  until what was due has happened.
 * Threads: any outside of tasks.
 * Errors:  SHUNT_EINVAL (pool; it has a clock of its own; ns is negative),
 *          SHUNT_EDEADLK inside a task, or a hook of the pool, SHUNT_EFORKED.
 */
SHUNT_API int shunt_pool_advance(shunt_pool *pool, int64_t ns);

/*
 * These four may be called anywhere, and never block.
 *
 * The pool of the running task, NULL outside. Inside a task a NULL pool means
 * this one to every function that takes a pool.
 */
SHUNT_API shunt_pool *shunt_pool_current(void);

/* The number of workers; negative SHUNT_E* if pool is not valid. */
SHUNT_API int shunt_pool_workers(shunt_pool *pool);

/* enum shunt_mode as it was decided; negative SHUNT_E* if not valid. */
SHUNT_API int shunt_pool_mode(shunt_pool *pool);

/* The version of the library, as "0.1.0". */
SHUNT_API const char *shunt_version(void);

SHUNT_END_

#endif /* SHUNT_POOL_H */
