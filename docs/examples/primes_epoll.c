/* SPDX-License-Identifier: MIT */
/*
 * primes_epoll.c - the service of primes.h on a loop of epoll.
 *
 * Requests come by a timer here; in a server they would by its sockets, which
 * are watched beside the queue's descriptor.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "primes.h"

static int watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Once in a millisecond. */
static int start(int timer)
{
    struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };

    return timerfd_settime(timer, 0, &often, NULL);
}

/* Serve one event. 0 or -1. */
static int serve(struct service *s, int fd, int timer)
{
    uint64_t ticks;

    if (fd != timer) {
        service_answer(s);
        return 0;
    }
    if (read(timer, &ticks, sizeof ticks) != (ssize_t)sizeof ticks)
        return -1;
    return service_accept(s) == 0 ? 0 : -1;
}

static int loop(struct service *s, int epoll, int timer)
{
    while (!service_is_done(s)) {
        struct epoll_event events[8];
        int n = epoll_wait(epoll, events, 8, -1);

        if (n < 0 && errno != EINTR)
            return -1;
        for (int i = 0; i < n; i++)
            if (serve(s, events[i].data.fd, timer) != 0)
                return -1;
    }
    return 0;
}

int main(void)
{
    struct service s;
    int rc = service_open(&s, 2000);
    int epoll, timer;

    if (rc != 0) {
        fprintf(stderr, "primes_epoll: %s\n", shunt_code_text(rc));
        return 1;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    rc = -1;
    if (watch(epoll, service_fd(&s)) == 0 && watch(epoll, timer) == 0 &&
        start(timer) == 0)
        rc = loop(&s, epoll, timer);
    /* Before the service, which closes the descriptor that it watches. */
    close(epoll);
    close(timer);
    if (service_close(&s) != 0 || rc != 0)
        return 1;
    return 0;
}
