/* SPDX-License-Identifier: MIT */
/*
 * process/sprout.h - how the host comes by a child that it does not notice.
 *
 * Idea. A child made by clone() with no signal for its end is left out by
 * wait() and waitpid(-1), and nothing is sent when it dies, whatever the host
 * does about SIGCHLD. What the C library's fork() does besides is for programs
 * with threads; and its note of the thread's number, which is then wrong in the
 * child, is put right by fork() in the child's own children. So as long as the
 * host has one thread, the bare call will do (alone).
 *
 * With threads, fork() must be called, since it takes the locks of malloc and
 * of stdio, and runs the handlers of pthread_atfork(), for the child to find
 * them free. So a child that shares the host's memory, as that of vfork() does,
 * calls it there in the caller's place, and leaves (beside):
 *
 *     host  -clone-> midwife, in the host's memory  -fork()-> seed
 *
 * The seed then belongs to whoever takes in orphans: process 1, or a subreaper
 * among the host's forebears. If the host is that itself, it must expect
 * children that it does not know anyway, and this is one.
 *
 * Crash. See seed.h.
 */
#ifndef SH_PROCESS_SPROUT_H
#define SH_PROCESS_SPROUT_H

#include <stdbool.h>
#include <sys/types.h>

struct sh_sprout {
    int socket;                         /* the child's end */
    int host;                           /* a pidfd of this process */
    void (*live)(int socket, int host); /* does not return */
};

enum sh_company {
    SH_COMPANY_NONE,
    SH_COMPANY_THREADS,
    SH_COMPANY_UNKNOWN, /* the system does not say */
    SH_COMPANY_REFUSED  /* there is no descriptor, or no memory, to ask */
};

/* Whether this process has other threads that may run code of its own. */
enum sh_company sh_sprout_company(void);

/* Make a child that lives by s->live. All signals must be blocked. A child of
 * this process, which nobody else reaps but by its number or __WALL. False if
 * refused. */
bool sh_sprout_alone(const struct sh_sprout *s, int *pidfd_out,
                     pid_t *pid_out);

/* End such a child whose pidfd was lost, if it still is one. */
void sh_sprout_end(pid_t pid);

/* The same while other threads run, and no child of this process. from: the
 * other end of s->socket. */
bool sh_sprout_beside(const struct sh_sprout *s, int from, int *pidfd_out);

#endif /* SH_PROCESS_SPROUT_H */
