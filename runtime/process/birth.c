/* SPDX-License-Identifier: MIT */
/* process/birth.c - what a process of ours drops, and takes on. */
#define _GNU_SOURCE 1
#include "process/birth.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "memory/jemalloc/jemalloc_private.h"
#include "process/title.h"

#define OOM_SCORE_MORE 500
#define OOM_SCORE_MAX 1000

/* In a worker: who is told of an exit(), and whose. */
static void (*exit_hook)(int status);
static pid_t self;

/* -- descriptors -- */

static bool close_between(unsigned first, unsigned last)
{
    return first > last ||
           (!sh_fault() && syscall(SYS_close_range, first, last, 0) == 0);
}

/* As close_range, where there is none. */
static void close_listed(int keep, int keep_too)
{
    DIR *list = opendir("/proc/self/fd");
    struct dirent *entry;

    if (list == NULL)
        return;
    while ((entry = readdir(list)) != NULL) {
        int fd = atoi(entry->d_name);

        if (fd > STDERR_FILENO && fd != keep && fd != keep_too &&
            fd != dirfd(list))
            close(fd);
    }
    closedir(list);
}

void sh_birth_close(int keep, int keep_too)
{
    int low = keep < keep_too ? keep : keep_too;
    int high = keep < keep_too ? keep_too : keep;

    if (low <= STDERR_FILENO)
        low = STDERR_FILENO;
    if (high <= STDERR_FILENO)
        high = low;
    if (!close_between(STDERR_FILENO + 1, (unsigned)low - 1) ||
        !close_between((unsigned)low + 1, (unsigned)high - 1) ||
        !close_between((unsigned)high + 1, ~0u))
        close_listed(keep, keep_too);
}

/* What is opened later must not become anybody's standard output. */
static bool fill_stdio(void)
{
    int fd;

    do
        fd = sh_fault() ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO && fcntl(fd, F_SETFD, 0) == 0);
    if (fd > STDERR_FILENO)
        close(fd);
    return fd > STDERR_FILENO;
}

/* -- signals -- */

/* All to their defaults, but an ignored SIGPIPE: that is a choice about errors
 * rather than about signals. */
static void reset_signals(void)
{
    struct sigaction by_default = { .sa_handler = SIG_DFL }, was;

    for (int s = 1; s < NSIG; s++) {
        if (s == SIGPIPE && sigaction(s, NULL, &was) == 0 &&
            was.sa_handler == SIG_IGN)
            continue;
        /* Refused for SIGKILL, SIGSTOP, and those of the C library. */
        (void)sigaction(s, &by_default, NULL);
    }
}

/* -- stdio, and leaving -- */

#ifdef __GLIBC__
/* Every open stream; glibc has this name for all to see. */
extern struct _IO_FILE *_IO_list_all __attribute__((weak));

static void purge_streams(void)
{
    if (&_IO_list_all == NULL)
        return;
    for (FILE *f = _IO_list_all; f != NULL; f = f->_chain)
        __fpurge(f);
}
#else
static void purge_streams(void)
{
}
#endif

/* What the host has not yet written is the host's to write, and what it has
 * read ahead must not be given back to a file that it reads. */
static void purge_stdio(void)
{
    purge_streams();
    __fpurge(stdin);
    __fpurge(stdout);
    __fpurge(stderr);
}

_Noreturn void sh_birth_leave(int status)
{
    /* Of the host's there is nothing left in the buffers. */
    fflush(NULL);
    _exit(status);
}

/* The first of what exit() calls here that is not a task's own, so that none
 * of the host's follows. A child that a task has forked comes here as well. */
static void leave_by_exit(int status, void *unused)
{
    (void)unused;
    if (exit_hook != NULL && getpid() == self)
        exit_hook(status);
    sh_birth_leave(status);
}

void sh_birth_on_exit(void (*hook)(int status))
{
    exit_hook = hook;
}

/* -- the births -- */

bool sh_birth_of_seed(int socket, int host)
{
    sh_je_alone(true); /* as are zygotes */
    reset_signals();
    /* Nobody asks how zygotes end: no zombies of them, nor of those who come
     * here when their parent has died. */
    (void)signal(SIGCHLD, SIG_IGN);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)setsid();
    sh_birth_close(socket, host);
    purge_stdio();
    if (!fill_stdio() || sh_fault() || on_exit(leave_by_exit, NULL) != 0)
        return false;
    (void)sh_title_prepare();
    sh_title_set("shunt: seed", "shunt: seed", "");
    return true;
}

void sh_birth_of_zygote(const char *name)
{
    (void)signal(SIGCHLD, SIG_DFL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)setpgid(0, 0);
    sh_title_set("shunt: zygote", "shunt: zygote", name);
}

/* When memory is short. What is adjusted can only go up without privileges, and
 * perhaps not even that: then it stays as it is. */
static bool go_first(void)
{
    char text[16];
    ssize_t n;
    int score, fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return false;
    n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    score = atoi(text) + OOM_SCORE_MORE;
    if (score > OOM_SCORE_MAX)
        score = OOM_SCORE_MAX;
    n = snprintf(text, sizeof text, "%d", score);
    n -= pwrite(fd, text, (size_t)n, 0);
    close(fd);
    return n == 0;
}

static void introduce(unsigned worker, const char *name)
{
    char text[24], brief[24];

    /* A number that lost a digit would be another worker's. */
    if (snprintf(text, sizeof text, "shunt: worker %u", worker) > 15)
        (void)snprintf(brief, sizeof brief, "shunt: w%u", worker);
    else
        (void)snprintf(brief, sizeof brief, "%s", text);
    sh_title_set(brief, text, name);
}

void sh_birth_of_worker(pid_t zygote, unsigned worker, const char *name)
{
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != zygote)
        _exit(1); /* it died before that */
    sh_je_alone(false);
    (void)setpgid(0, 0);
    sh_birth_close(-1, -1);
    self = getpid();
    (void)go_first();
    introduce(worker, name);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}
