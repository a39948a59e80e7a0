/* SPDX-License-Identifier: MIT */
/* process/sprout.c - children that the host does not notice. */
#define _GNU_SOURCE 1
#include "process/sprout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "process/letter.h"
#include "process/stat.h"

/* Flags of a thread in /proc/.../stat (include/linux/sched.h of the kernel). */
#define FLAG_EXITING 0x4u    /* it will not return to the program: joined */
#define FLAG_IO_WORKER 0x10u /* of io_uring: never runs the program */

/* -- who else is here -- */

/* False for a thread that has ended meanwhile as well. */
static bool runs_code(int tasks, const char *tid)
{
    char path[32], text[512];
    const char *at;
    unsigned flags = 0;

    (void)snprintf(path, sizeof path, "%.20s/stat", tid);
    at = sh_stat_read(tasks, path, text, sizeof text);
    if (at == NULL)
        return false;
    /* State, parent, group, session, terminal, its group. */
    if (sscanf(at, "%*c %*d %*d %*d %*d %*d %u", &flags) != 1)
        return true;
    return (flags & (FLAG_EXITING | FLAG_IO_WORKER)) == 0;
}

enum sh_company sh_sprout_company(void)
{
    DIR *tasks = sh_fault() ? (errno = EACCES, NULL)
                            : opendir("/proc/self/task");
    struct dirent *entry;
    unsigned threads = 0;

    if (tasks == NULL)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM
                   ? SH_COMPANY_REFUSED
                   : SH_COMPANY_UNKNOWN;
    while ((entry = readdir(tasks)) != NULL)
        threads += entry->d_name[0] != '.' &&
                   runs_code(dirfd(tasks), entry->d_name);
    closedir(tasks);
    return threads > 1 ? SH_COMPANY_THREADS : SH_COMPANY_NONE;
}

/* -- a child of the host's own -- */

/* The processes' memory is copied, as by fork(). */
static pid_t clone_unnoticed(void)
{
    if (sh_fault()) {
        errno = EAGAIN;
        return -1;
    }
    return (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, NULL);
}

bool sh_sprout_alone(const struct sh_sprout *s, int *pidfd_out, pid_t *pid_out)
{
    pid_t pid = clone_unnoticed();
    int pidfd;

    if (pid == 0) {
        s->live(s->socket, s->host);
        _exit(1);
    }
    if (pid < 0)
        return false;
    pidfd = sh_pidfd_of(pid);
    if (pidfd < 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
            ;
        return false;
    }
    *pidfd_out = pidfd;
    *pid_out = pid;
    return true;
}

void sh_sprout_end(pid_t pid)
{
    siginfo_t info;

    /* Until it is waited for, the number is that of the child. */
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) !=
        0)
        return;
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

/* -- a child that was never the host's -- */

/* It returns twice, in one frame: so it is made of one instruction, and what
 * the first to return does next is a call that does not return. */
static inline __attribute__((always_inline)) long clone_in_place(long flags)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    long result = SYS_clone;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(flags), "S"(0L), "d"(0L), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory", "cc");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = flags;
    register long x1 __asm__("x1") = 0;
    register long x2 __asm__("x2") = 0;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = 0;

    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory", "cc");
    return x0;
#endif
}

/* By the bare call: what a sanitizer does when a process ends, it would do in
 * the host's memory, which goes on. */
static _Noreturn void leave_host(int status)
{
    for (;;)
        (void)syscall(SYS_exit_group, status);
}

/* In the host's memory, while the thread that called stands still. What it
 * tells goes by the socket, so that it need not share memory to tell it. */
static _Noreturn __attribute__((noinline, no_sanitize("thread"))) void
be_midwife(const struct sh_sprout *s)
{
    const struct sh_letter letter = { .kind = SH_LETTER_ANSWER };
    pid_t pid = sh_fault() ? -1 : fork();
    int pidfd;

    if (pid == 0) {
        s->live(s->socket, s->host);
        _exit(1);
    }
    if (pid < 0)
        leave_host(1);
    pidfd = sh_pidfd_of(pid);
    if (pidfd < 0 || sh_letter_send(s->socket, &letter, pidfd) != 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        leave_host(1);
    }
    leave_host(0);
}

static __attribute__((noinline, no_sanitize("thread"))) pid_t clone_midwife(
    const struct sh_sprout *s)
{
    long pid = clone_in_place(CLONE_VM | CLONE_VFORK);

    if (pid == 0)
        be_midwife(s);
    return (pid_t)pid;
}

bool sh_sprout_beside(const struct sh_sprout *s, int from, int *pidfd_out)
{
    struct sh_letter letter;
    pid_t midwife = sh_fault() ? -1 : clone_midwife(s);
    int status = 1;

    if (midwife < 0)
        return false;
    while (waitpid(midwife, &status, __WALL) < 0 && errno == EINTR)
        ;
    /* Of a seed that was killed there may be a letter as well. */
    if (status != 0)
        return false;
    return sh_letter_take(from, &letter, pidfd_out) == 0;
}
