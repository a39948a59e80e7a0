/* SPDX-License-Identifier: MIT */
/*
 * process/zygote.h - the process that forks a pool's workers, as the host has
 * it.
 *
 *     host ---- seed -fork-> zygote -fork-> worker 0, worker 1, ...
 *          \------socket-----/
 *
 * Idea. The zygote is single-threaded and has the pool's arena, so a worker can
 * be forked from it at any time, however many threads the host has by then. It
 * forks, reaps and answers; it runs no code of users and reads nothing in the
 * arena. A worker calls one function with one pointer, and what that returns is
 * its exit status.
 *
 * The host has a pidfd of each process, sent over the socket by one who could
 * not have mistaken it, and never signals by number. No process of these is a
 * child of the host's (process/seed.h), so that it gets no SIGCHLD of them, and
 * none that it waits for.
 *
 * Edges. None: processes talk by messages, threads of the host share a zygote
 * under its lock.
 *
 * Crash. A worker: stays a zombie until it is reaped here, and with it goes
 * its process group. The zygote: its workers die with it, by a signal of the
 * kernel's; every call says SHUNT_EBROKEN. The host: the zygote sees it, ends
 * its workers, and itself.
 *
 * Fork. A child of the host has none: every call but stop, which then only
 * closes what was inherited, says SHUNT_EFORKED.
 */
#ifndef SH_PROCESS_ZYGOTE_H
#define SH_PROCESS_ZYGOTE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "memory/arena.h"

/* What a worker does. What it returns is its exit status (the low 8 bits). */
typedef int sh_worker_main(void *root, unsigned worker);

/* How a worker ended. */
struct sh_death {
    int signal;      /* that it died of, else 0 */
    int exit_status; /* that it left with, if signal is 0 */
    bool dumped;     /* it left a core */
    int64_t user_ns, system_ns;
    int64_t resident_max; /* bytes, at most */
};

struct sh_zygote {
    pthread_mutex_t lock; /* guards the socket, from question to answer */
    int socket;
    struct sh_mark mark; /* of the socket */
    int pidfd; /* readable: it is gone, and its workers are or will be */
    pid_t pid;
    pid_t host;      /* the process that has started it */
    const char *why; /* the last failure, as a sentence; NULL: none yet */
    sh_worker_main *enter; /* of stand-ins: standin.c */
    void *root;
};

/* Have the seed fork a zygote for this arena, whose workers call enter(root,
 * number). name is for those who look at lists of processes, and may be NULL.
 *
 * 0; SHUNT_ENOMEM: the system refused, and it may be tried again, as with
 * SHUNT_EAGAIN: the zygote died at once; SHUNT_EBROKEN: there is no seed (any
 * more), or the host has closed the arena's descriptor.
 * Unless 0, there is nothing to stop; z->why says why. Any thread. */
int sh_zygote_start(struct sh_zygote *z, const struct sh_arena *arena,
                    sh_worker_main *enter, void *root, const char *name);

/* Fork a worker. 0; SHUNT_EAGAIN: the system refused; SHUNT_EBROKEN: the zygote
 * is gone. The pidfd is the caller's to close. Any thread; blocks until the
 * zygote has answered. */
int sh_zygote_fork(struct sh_zygote *z, unsigned worker, pid_t *pid_out,
                   int *pidfd_out);

/* How the worker ended, whose pidfd is readable. It is no more afterwards, nor
 * is any child of its own that is still in its process group. 0; SHUNT_EAGAIN:
 * it lives; SHUNT_EINVAL: no such worker, or it was reaped; SHUNT_EBROKEN: the
 * zygote is gone, and with it the answer. Any thread. */
int sh_zygote_reap(struct sh_zygote *z, pid_t pid, struct sh_death *death_out);

/* Whether a worker that was told to stop has, or has ended. Its parent knows;
 * to read it in /proc would take a descriptor, and the host may have none.
 * 0; SHUNT_PENDING: not yet; SHUNT_EAGAIN: the system refused to ask;
 * SHUNT_EINVAL: no such worker; SHUNT_EBROKEN: the zygote is gone. Any
 * thread. */
int sh_zygote_stopped(struct sh_zygote *z, pid_t pid);

/* Kill all its workers and end it; return when they are gone. Also of one that
 * has died. No other thread may be in a call with it. */
void sh_zygote_stop(struct sh_zygote *z);

/* Whether the host has closed our descriptors. The zygote then ends, and its
 * workers: if not at once, when no child of the host has its socket either. */
bool sh_zygote_is_cut_off(const struct sh_zygote *z);

/* For tests: the nth request of the zygote to the system from now fails, as
 * with sh_fault_set; 0: none. Workers inherit that. */
int sh_zygote_fault(struct sh_zygote *z, int64_t nth);

#endif /* SH_PROCESS_ZYGOTE_H */
