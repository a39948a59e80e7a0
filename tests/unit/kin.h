/* SPDX-License-Identifier: MIT */
/*
 * kin.h - for tests with processes: what this one has, how others end, and
 * children that are hosts of their own for a while.
 */
#ifndef SHUNT_TESTS_KIN_H
#define SHUNT_TESTS_KIN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* ThreadSanitizer has a thread of its own in each process that has started
 * one. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define KIN_TSAN true
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define KIN_TSAN true
#endif
#ifndef KIN_TSAN
#define KIN_TSAN false
#endif

/* How many descriptors this or another process has open, and how many children
 * this one has, zombies and those that wait() leaves out included. */
unsigned kin_descriptors(void);
unsigned kin_descriptors_of(pid_t pid);
unsigned kin_children(void);

/* Its only child. */
pid_t kin_child(void);

/* The parent of a process; -1: there is no such process. */
pid_t kin_parent_of(pid_t pid);

/* How many of its children have ended and were not reaped. */
unsigned kin_zombies_of(pid_t pid);

/* A pidfd of it; -1 if there is none. */
int kin_pidfd(pid_t pid);

/* Whether the process of a pidfd has ended, or does in reasonable time; closes
 * it. */
bool kin_ends(int pidfd);

/* Until a signal kills it; SIGALRM does, in the end. */
_Noreturn void kin_stay(void);

/* Read a file such as /proc/17/comm whole; its length, at most size - 1. */
size_t kin_read(pid_t pid, const char *name, char *to, size_t size);

/* A child that runs host(with) and _exit()s with the line of the first CHECK
 * that did not hold, 0 if all did. It is ended after a minute or so. */
typedef int kin_host(void *with);
int kin_run_host(kin_host *host, void *with);

/* The same, but it is the caller who waits for it, and its exit status is 1 if
 * a CHECK did not hold. */
pid_t kin_start_host(kin_host *host, void *with);

#define CHECK(condition)     \
    do {                     \
        if (!(condition))    \
            return __LINE__; \
    } while (0)

#endif /* SHUNT_TESTS_KIN_H */
