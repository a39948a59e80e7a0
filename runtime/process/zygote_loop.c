/* SPDX-License-Identifier: MIT */
/*
 * process/zygote_loop.c - a zygote: it forks workers and reaps them.
 *
 * Idea. A worker that has died stays a zombie until the host asks how, so its
 * number means it and nobody else until then. Its process group is killed
 * first; and since the zygote takes in orphans, it can wait until the last of
 * that group has gone. Other orphans are reaped as they end. They are found by
 * not being workers: the zygote knows the numbers of those.
 *
 * Crash. Workers have asked the kernel to be killed when the zygote dies, and
 * go to the seed, which leaves no zombies. Children of theirs are then on
 * their own.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "memory/arena.h"
#include "process/birth.h"
#include "process/loops.h"
#include "shunt/errors.h"

struct nursery {
    int socket, host;
    int ended; /* a signalfd: a child has ended */
    pid_t self;
    const struct sh_letter *order; /* enter, root, name */
    pid_t *workers;                /* not yet reaped */
    size_t count, room;
};

/* -- who is a worker -- */

static bool make_room(struct nursery *n)
{
    size_t room = n->room == 0 ? 16 : 2 * n->room;
    pid_t *more;

    if (n->count < n->room)
        return true;
    more = sh_fault() ? NULL : realloc(n->workers, room * sizeof *more);
    if (more == NULL)
        return false;
    n->workers = more;
    n->room = room;
    return true;
}

/* Its place, or count. */
static size_t find(const struct nursery *n, pid_t pid)
{
    size_t i = 0;

    while (i < n->count && n->workers[i] != pid)
        i++;
    return i;
}

/* -- the dead -- */

static int64_t in_ns(struct timeval t)
{
    return ((int64_t)t.tv_sec * 1000000 + t.tv_usec) * 1000;
}

static struct sh_death death_of(int status, const struct rusage *used)
{
    return (struct sh_death){
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
        .dumped = WIFSIGNALED(status) && WCOREDUMP(status),
        .user_ns = in_ns(used->ru_utime),
        .system_ns = in_ns(used->ru_stime),
        .resident_max = (int64_t)used->ru_maxrss * 1024,
    };
}

/* Wait for the worker, which has ended or was killed, and for its group. A
 * member's children are ours before the member can be waited for. */
static struct sh_death bury(struct nursery *n, size_t i)
{
    pid_t pid = n->workers[i];
    struct rusage used = { .ru_maxrss = 0 };
    int status = 0;

    /* As long as the zombie has the number, no other group has. */
    (void)kill(-pid, SIGKILL);
    while (wait4(pid, &status, 0, &used) < 0 && errno == EINTR)
        ;
    while (waitpid(-pid, NULL, 0) > 0 || errno == EINTR)
        ;
    n->workers[i] = n->workers[--n->count];
    return death_of(status, &used);
}

/* What: WEXITED, also with WSTOPPED. */
static bool has(pid_t pid, int what)
{
    siginfo_t info = { .si_pid = 0 };

    return waitid(P_PID, (id_t)pid, &info, what | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid;
}

/* Reap orphans, up to a worker: the host is about to ask for that, and then we
 * come here again. */
static void sweep(const struct nursery *n)
{
    for (;;) {
        siginfo_t info = { .si_pid = 0 };

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == 0 || find(n, info.si_pid) < n->count)
            return;
        (void)waitpid(info.si_pid, NULL, WNOHANG);
    }
}

/* A worker that has not got as far as having a group is killed all the same. */
static void kill_and_bury(struct nursery *n, size_t i)
{
    (void)kill(n->workers[i], SIGKILL);
    (void)bury(n, i);
}

static _Noreturn void end(struct nursery *n, int status)
{
    /* All at once, rather than one after the other. */
    for (size_t i = 0; i < n->count; i++)
        (void)kill(n->workers[i], SIGKILL);
    while (n->count > 0)
        kill_and_bury(n, n->count - 1);
    _exit(status);
}

/* -- answers -- */

/* Whether the host has been told. */
static bool answer(struct nursery *n, const struct sh_letter *letter, int fd)
{
    return sh_letter_send(n->socket, letter, fd) == 0;
}

/* Who cannot even say that is of no use. */
static void reply(struct nursery *n, int code)
{
    const struct sh_letter letter = { .kind = SH_LETTER_ANSWER, .code = code };

    if (!answer(n, &letter, -1) && !answer(n, &letter, -1))
        end(n, 1);
}

static _Noreturn void be_worker(const struct nursery *n, unsigned worker)
{
    sh_birth_of_worker(n->self, worker, n->order->name);
    sh_birth_leave(n->order->enter(n->order->root, worker));
}

static void fork_worker(struct nursery *n, unsigned worker)
{
    struct sh_letter letter = { .kind = SH_LETTER_ANSWER };
    bool told = false;
    int pidfd;

    letter.pid = !make_room(n) || sh_fault() ? -1 : fork();
    if (letter.pid == 0)
        be_worker(n, worker);
    if (letter.pid < 0) {
        reply(n, SHUNT_EAGAIN);
        return;
    }
    n->workers[n->count++] = letter.pid;
    pidfd = sh_pidfd_of(letter.pid);
    if (pidfd >= 0) {
        told = answer(n, &letter, pidfd);
        close(pidfd);
    }
    if (!told) {
        kill_and_bury(n, n->count - 1);
        reply(n, SHUNT_EAGAIN);
    }
}

static void reap(struct nursery *n, pid_t pid)
{
    struct sh_letter letter = { .kind = SH_LETTER_ANSWER, .pid = pid };
    size_t i = find(n, pid);

    if (i == n->count) {
        reply(n, SHUNT_EINVAL);
        return;
    }
    if (!has(pid, WEXITED)) {
        reply(n, SHUNT_EAGAIN);
        return;
    }
    letter.death = bury(n, i);
    sweep(n);
    /* Once more, since how it ended is known nowhere else now. */
    if (!answer(n, &letter, -1) && !answer(n, &letter, -1))
        end(n, 1);
}

static void look(struct nursery *n, pid_t pid)
{
    if (find(n, pid) == n->count)
        reply(n, SHUNT_EINVAL);
    else
        reply(n, has(pid, WEXITED | WSTOPPED) ? 0 : SHUNT_PENDING);
}

static void undo(struct nursery *n, pid_t pid)
{
    size_t i = find(n, pid);

    if (i < n->count)
        kill_and_bury(n, i);
    reply(n, 0);
}

static void obey(struct nursery *n, const struct sh_letter *order)
{
    switch (order->kind) {
    case SH_LETTER_FORK:
        fork_worker(n, order->worker);
        break;
    case SH_LETTER_REAP:
        reap(n, order->pid);
        break;
    case SH_LETTER_UNDO:
        undo(n, order->pid);
        break;
    case SH_LETTER_STILL:
        look(n, order->pid);
        break;
    case SH_LETTER_FAULT:
        if (order->nth > 0)
            sh_fault_set(order->nth);
        else
            sh_fault_clear();
        break;
    case SH_LETTER_ANSWER:
    case SH_LETTER_GREET:
    case SH_LETTER_SOW:
    case SH_LETTER_END:
        end(n, 0);
    }
}

/* -- its life -- */

static int watch_children(void)
{
    sigset_t ended;

    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    return sh_fault() ? -1 : signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Come to life; false: to no purpose. */
static bool settle(struct nursery *n, int arena)
{
    bool mapped = sh_arena_attach(arena, n->order->at, n->order->bytes);

    sh_birth_close(n->socket, n->host);
    sh_birth_of_zygote(n->order->name);
    n->ended = watch_children();
    return mapped && n->ended >= 0;
}

static bool greet(struct nursery *n)
{
    const struct sh_letter letter = { .kind = SH_LETTER_ANSWER,
                                      .pid = n->self };
    int pidfd = sh_pidfd_of(n->self);
    bool told = pidfd >= 0 && answer(n, &letter, pidfd);

    sh_letter_close(pidfd);
    return told;
}

/* Wait for a letter. False if there will be none: the host is gone, or has left
 * us alone. */
static bool await_letter(struct nursery *n)
{
    struct pollfd polled[3] = { { .fd = n->socket, .events = POLLIN },
                                { .fd = n->host, .events = POLLIN },
                                { .fd = n->ended, .events = POLLIN } };
    struct signalfd_siginfo info;

    do {
        while (poll(polled, 3, -1) < 0)
            ;
        if (polled[2].revents != 0 &&
            read(n->ended, &info, sizeof info) == (ssize_t)sizeof info)
            sweep(n);
    } while (polled[0].revents == 0 && polled[1].revents == 0);
    return polled[0].revents != 0;
}

_Noreturn void sh_zygote_live(int socket, int host, int arena,
                              const struct sh_letter *order)
{
    struct nursery n = {
        .socket = socket, .host = host, .self = getpid(), .order = order
    };
    struct sh_letter letter;
    int fd;

    if (!settle(&n, arena) || !greet(&n)) {
        reply(&n, SHUNT_ENOMEM);
        end(&n, 1);
    }
    while (await_letter(&n) && sh_letter_take(socket, &letter, &fd) == 0)
        obey(&n, &letter);
    end(&n, 0);
}
