/* SPDX-License-Identifier: MIT */
/* process/letter.c - letters over sockets, and pidfds. */
#define _GNU_SOURCE 1
#include "process/letter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"

#define BY_PIDFD 3 /* P_PIDFD, which not every C library has */

/* Room for one descriptor beside a message. */
union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
};

void sh_letter_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* What prints to a descriptor that its program has closed must not reach us. */
static int above_stdio(int fd)
{
    int moved = fd;

    if (fd >= 0 && fd <= STDERR_FILENO) {
        moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(fd);
    }
    return moved;
}

bool sh_letter_pair(int ends_out[2])
{
    int ends[2];

    if (sh_fault()) {
        errno = EMFILE;
        return false;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    ends[0] = above_stdio(ends[0]);
    ends[1] = above_stdio(ends[1]);
    if (ends[0] < 0 || ends[1] < 0) {
        sh_letter_close(ends[0]);
        sh_letter_close(ends[1]);
        errno = EMFILE;
        return false;
    }
    ends_out[0] = ends[0];
    ends_out[1] = ends[1];
    return true;
}

int sh_letter_send(int to, const struct sh_letter *letter, int fd)
{
    struct iovec part = { (void *)(uintptr_t)letter, sizeof *letter };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    union control control;
    ssize_t sent;

    if (sh_fault())
        return -ENOBUFS;
    if (fd >= 0) {
        struct cmsghdr *c = &control.aligned;

        memset(&control, 0, sizeof control);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
    }
    do
        sent = sendmsg(to, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    return errno == ECONNRESET ? -EPIPE : -errno;
}

bool sh_letter_await(int from, int pidfd)
{
    struct pollfd polled[2] = { { .fd = from, .events = POLLIN },
                                { .fd = pidfd, .events = POLLIN } };

    /* EINTR, or too little memory for the moment. */
    while (poll(polled, 2, -1) < 0)
        ;
    return polled[0].revents != 0;
}

static int descriptor_in(struct msghdr *message)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (c != NULL && c->cmsg_level == SOL_SOCKET &&
        c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

int sh_letter_take(int from, struct sh_letter *letter_out, int *fd_out)
{
    struct iovec part = { letter_out, sizeof *letter_out };
    union control control;
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof control };
    ssize_t got;
    int fd;

    *fd_out = -1;
    do
        got = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (got == 0)
        return -EPIPE;
    fd = descriptor_in(&message);
    if (got != (ssize_t)sizeof *letter_out) {
        sh_letter_close(fd);
        return -EPROTO;
    }
    if (fd >= 0)
        fd = sh_fault() ? (close(fd), -1) : above_stdio(fd);
    else if ((message.msg_flags & MSG_CTRUNC) == 0)
        return 0;
    *fd_out = fd;
    return fd >= 0 ? 0 : -EMFILE;
}

static bool poll_one(int pidfd, int patience_ms)
{
    struct pollfd polled = { .fd = pidfd, .events = POLLIN };
    int n;

    do
        n = poll(&polled, 1, patience_ms);
    while (n < 0 && (errno == EINTR || patience_ms < 0));
    return n > 0;
}

void sh_pidfd_bury(int pidfd)
{
    siginfo_t info;

    (void)poll_one(pidfd, -1);
    /* Refused if it is another's child, or somebody has waited for children of
     * all kinds. */
    (void)waitid((idtype_t)BY_PIDFD, (id_t)pidfd, &info,
                 WEXITED | WNOHANG | __WALL);
}

bool sh_pidfd_ended(int pidfd)
{
    return poll_one(pidfd, 0);
}

bool sh_pid_ended(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool ended;

    if (pidfd < 0)
        return errno == ESRCH;
    ended = sh_pidfd_ended(pidfd);
    close(pidfd);
    return ended;
}

int sh_pidfd_of(pid_t pid)
{
    if (sh_fault()) {
        errno = EMFILE;
        return -1;
    }
    return above_stdio((int)syscall(SYS_pidfd_open, pid, 0));
}

void sh_pidfd_kill(int pidfd, int signal)
{
    (void)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}
