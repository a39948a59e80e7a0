/* SPDX-License-Identifier: MIT */
/*
 * unit/dying.h - children that die, with a record in shared memory.
 */
#ifndef SH_UNIT_DYING_H
#define SH_UNIT_DYING_H

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "memory/pages.h"
#include "process/crash.h"
#include "process/symbols.h"

#define STACK_BYTES ((size_t)256 * 1024)
#define GUARD_BYTES ((size_t)64 * 1024)
#define NOINLINE __attribute__((noinline, unused))

/* What the child and its parent share beside the record. */
struct shared {
    struct sh_crash crash;
    _Atomic int ready; /* the child has come so far */
};

static struct shared *shared;
static char *stack; /* with its guard */
static char text[512], backtrace[4096];
static struct rusage use;

static inline int make(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    stack = sh_pages_map(GUARD_BYTES + STACK_BYTES, SH_PAGES_STACK);
    return shared == MAP_FAILED || stack == NULL ||
           !sh_pages_guard(stack, GUARD_BYTES);
}

static inline int unmake(void **state)
{
    (void)state;
    sh_fault_clear();
    sh_pages_unmap(stack, GUARD_BYTES + STACK_BYTES);
    return munmap(shared, sizeof *shared);
}

/* -- children -- */

static inline pid_t start(void (*die)(void))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    /* What the C library and sanitizers say of it is expected. */
    (void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    if (!sh_crash_install(&shared->crash))
        _exit(99);
    die();
    _exit(98);
}

static inline int end_of(pid_t pid)
{
    int status;

    assert_int_equal(wait4(pid, &status, 0, &use), pid);
    return status;
}

/* What the frames of a record are in words. */
static inline void tell_trace(const struct sh_crash *c)
{
    struct sh_trace trace;

    sh_crash_trace(c, &trace);
    sh_symbols_tell(&trace, NULL, backtrace, sizeof backtrace);
}

static inline void tell(int status)
{
    const struct sh_crash_map map = { .stack = stack + GUARD_BYTES,
                                      .stack_bytes = STACK_BYTES,
                                      .guard_bytes = GUARD_BYTES };

    sh_crash_tell(&shared->crash, status, &use, &map, text, sizeof text);
    tell_trace(&shared->crash);
}

/* Run it to its end, which is by that signal, and recorded. */
static inline int dies_by(void (*die)(void), int sig)
{
    int status = end_of(start(die));

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), sig);
    assert_int_equal(atomic_load(&shared->crash.state), SH_CRASH_WHOLE);
    assert_int_equal(shared->crash.signal, sig);
    tell(status);
    return status;
}

static inline void assert_begins(const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", text, with);
}

static inline void assert_has(const char *whole, const char *part)
{
    if (strstr(whole, part) == NULL)
        fail_msg("\"%s\" has no \"%s\"", whole, part);
}

static char *volatile near_null = (char *)0x10;

static NOINLINE void dereference_null(void)
{
    *near_null = 1;
}

/* No instruction: of __builtin_trap, some processors make a breakpoint. */
#if defined(__x86_64__)
#define INVALID "ud2"
#else
#define INVALID ".inst 0"
#endif

static NOINLINE void run_invalid(void)
{
    __asm__ volatile(INVALID);
}

/* In calls that end: see process/crash.c. */
static inline void wait_for_ever(void)
{
    atomic_store(&shared->ready, 1);
    for (;;)
        (void)poll(NULL, 0, 100);
}

static inline pid_t start_waiting(void)
{
    pid_t pid;

    atomic_store(&shared->ready, 0);
    pid = start(wait_for_ever);
    while (atomic_load(&shared->ready) == 0)
        (void)sched_yield();
    return pid;
}

static inline void leave_quietly(void)
{
    _exit(4);
}

#endif /* SH_UNIT_DYING_H */
