/* SPDX-License-Identifier: MIT */
/*
 * base/self.h - what there is once in each process.
 *
 * Idea. A worker process has a copy of the host's static data, as it was when
 * the seed was forked. What it must set anew, or what the processes of a pool
 * must not share, is all in one structure, so that nothing of that kind can be
 * forgotten, and is reached through one function. That names a plain object,
 * at a constant address; but in a build in which threads stand in for worker
 * processes (-Dstandin=true, process/standin.c) each of these has its own.
 *
 * What stays elsewhere is of the program, and may be the same in all of its
 * processes: the range of addresses (memory/arena.c), what makes requests fail
 * (base/fault.c), the table of completion queues, each of which knows its
 * process (reactor/queue.c). Or it concerns what threads have together: signal
 * handlers, limits, the process's title.
 *
 * Edges. None: the files that the members belong to have them.
 *
 * Fork. task/registry.c counts.
 */
#ifndef SH_BASE_SELF_H
#define SH_BASE_SELF_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define SH_POOLS 4096u /* identifiers; 0 stands for no pool */
#define SH_HEAPS 1024u /* shared ones that a process can have */

struct sh_heard;
struct sh_home;
struct sh_pool;

struct sh_self {
    /* Counts forks: a pool whose process differs belongs to a parent. */
    unsigned process;

    /* The same of what belongs to one process, and not to a pool's: a worker
     * process has its own. */
    unsigned own;

    /* Of a worker process: its index + 1, and its pool. What leads out of that
     * (hooks, queues, other pools) is left to the host. 0 and NULL: of none. */
    unsigned served_as;
    struct sh_pool *served;

    /* Pools by identifier; NULL: none. Users hold names and not addresses, so
     * that a name of a freed pool is found out. And the same until the last
     * guest has left; how many there are. */
    _Atomic(struct sh_pool *) pools[SH_POOLS];
    _Atomic(struct sh_pool *) homes[SH_POOLS];
    _Atomic uint32_t visits[SH_POOLS];
    pthread_mutex_t lock; /* task/registry.c's */

    /* What it has for itself of shared heaps: memory/slices.c. */
    struct sh_home *heaps[SH_HEAPS];

    /* The promises that a worker process listens to, or has tried to, and some
     * that have ended: future/promise.c. In scratch, which goes with it. */
    pthread_mutex_t heard_lock;
    struct sh_heard *heard;
    size_t heard_count, heard_room;
};

extern struct sh_self sh_self_of_process;

#ifdef SH_STANDIN
extern _Thread_local struct sh_self *sh_self_of_thread
    __attribute__((tls_model("initial-exec")));

static inline struct sh_self *sh_self(void)
{
    return sh_self_of_thread;
}
#else
static inline struct sh_self *sh_self(void)
{
    return &sh_self_of_process;
}
#endif

#endif /* SH_BASE_SELF_H */
