/* SPDX-License-Identifier: MIT */
/* kin.c - processes that a test starts, and watches. */
#include "kin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 120

/* Tests start threads in children of theirs. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static unsigned descriptors_in(const char *path)
{
    unsigned n = 0;
    DIR *list = opendir(path);

    while (list != NULL && readdir(list) != NULL)
        n++;
    if (list != NULL)
        closedir(list);
    return n - 2; /* "." and ".." */
}

unsigned kin_descriptors_of(pid_t pid)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    return descriptors_in(path);
}

/* Not by its number: /proc may be that of another namespace. */
unsigned kin_descriptors(void)
{
    return descriptors_in("/proc/self/fd") - 1; /* that of the list */
}

size_t kin_read(pid_t pid, const char *name, char *to, size_t size)
{
    char path[96];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, to, size - 1);
    if (fd >= 0)
        close(fd);
    to[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* Of all threads: a child belongs to the thread that made it. */
unsigned kin_children(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned n = 0;

    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        char name[64], text[4096];

        (void)snprintf(name, sizeof name, "task/%.20s/children", entry->d_name);
        (void)kin_read(getpid(), name, text, sizeof text);
        for (const char *at = text; *at != '\0'; at++)
            n += *at == ' ';
    }
    if (tasks != NULL)
        closedir(tasks);
    return n;
}

pid_t kin_child(void)
{
    char name[64], text[64];

    (void)snprintf(name, sizeof name, "task/%d/children", (int)getpid());
    (void)kin_read(getpid(), name, text, sizeof text);
    return (pid_t)atoi(text);
}

pid_t kin_parent_of(pid_t pid)
{
    char text[512], *at;
    int parent = -1;

    (void)kin_read(pid, "stat", text, sizeof text);
    at = strrchr(text, ')');
    if (at == NULL || sscanf(at + 1, " %*c %d", &parent) != 1)
        return -1;
    return parent;
}

unsigned kin_zombies_of(pid_t pid)
{
    char name[64], text[4096], *at = text, *end;
    unsigned n = 0;

    (void)snprintf(name, sizeof name, "task/%d/children", (int)pid);
    (void)kin_read(pid, name, text, sizeof text);
    for (long child = strtol(at, &end, 10); end != at;
         child = strtol(at = end, &end, 10)) {
        char stat[512], *name_end;

        (void)kin_read((pid_t)child, "stat", stat, sizeof stat);
        name_end = strrchr(stat, ')');
        n += name_end != NULL && name_end[2] == 'Z';
    }
    return n;
}

int kin_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool kin_ends(int pidfd)
{
    struct pollfd polled = { .fd = pidfd, .events = POLLIN };
    int n;

    do
        n = poll(&polled, 1, PATIENCE_S * 1000);
    while (n < 0 && errno == EINTR);
    close(pidfd);
    return n == 1 && (polled.revents & POLLIN) != 0;
}

_Noreturn void kin_stay(void)
{
    alarm(PATIENCE_S); /* if it is forgotten */
    for (;;)
        pause();
}

pid_t kin_start_host(kin_host *host, void *with)
{
    pid_t pid = fork();

    if (pid == 0) {
        alarm(PATIENCE_S);
        _exit(host(with) != 0);
    }
    if (pid < 0)
        abort(); /* rather than that it is killed: that means everybody */
    return pid;
}

/* An exit status is too small for a line. */
int kin_run_host(kin_host *host, void *with)
{
    int ends[2], line = -1, status;
    pid_t pid;

    if (pipe(ends) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        alarm(PATIENCE_S);
        line = host(with);
        _exit(write(ends[1], &line, sizeof line) != (ssize_t)sizeof line);
    }
    close(ends[1]);
    /* A process that it has left behind must not have the pipe either. */
    if (read(ends[0], &line, sizeof line) != (ssize_t)sizeof line)
        line = -2;
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return line;
}
