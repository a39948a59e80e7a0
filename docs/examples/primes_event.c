/* SPDX-License-Identifier: MIT */
/*
 * primes_event.c - the service of primes.h on a loop of libevent: an event for
 * the queue's descriptor, beside whatever else the base watches.
 */
#include <event2/event.h>
#include <stdio.h>

#include "primes.h"

struct loop {
    struct service service;
    struct event_base *base;
    struct event *ready;
    struct event *timer; /* by which requests come here */
    int rc;
};

/* The loop ends when nothing is watched any more. */
static void end(struct loop *l, int rc)
{
    l->rc = rc;
    event_del(l->ready);
    event_del(l->timer);
}

static void on_requests(evutil_socket_t fd, short what, void *user)
{
    struct loop *l = user;
    int rc = service_accept(&l->service);

    (void)fd;
    (void)what;
    if (rc != 0)
        end(l, rc);
    else if (service_is_closing(&l->service))
        event_del(l->timer);
}

static void on_ready(evutil_socket_t fd, short what, void *user)
{
    struct loop *l = user;

    (void)fd;
    (void)what;
    service_answer(&l->service);
    if (service_is_done(&l->service))
        end(l, 0);
}

/* Watch the queue's descriptor, and start the timer: once a millisecond. */
static int start(struct loop *l)
{
    struct timeval often = { 0, 1000 };

    l->base = event_base_new();
    if (l->base == NULL)
        return -1;
    l->ready = event_new(l->base, service_fd(&l->service),
                         EV_READ | EV_PERSIST, on_ready, l);
    l->timer = event_new(l->base, -1, EV_PERSIST, on_requests, l);
    if (l->ready == NULL || l->timer == NULL ||
        event_add(l->ready, NULL) != 0)
        return -1;
    return event_add(l->timer, &often);
}

/* Before the service, which closes the descriptor that it watches. */
static void stop(struct loop *l)
{
    if (l->timer != NULL)
        event_free(l->timer);
    if (l->ready != NULL)
        event_free(l->ready);
    if (l->base != NULL)
        event_base_free(l->base);
}

int main(void)
{
    struct loop l = { .rc = 0 };
    int rc = service_open(&l.service, 2000);

    if (rc != 0) {
        fprintf(stderr, "primes_event: %s\n", shunt_code_text(rc));
        return 1;
    }
    rc = start(&l);
    if (rc == 0)
        rc = event_base_dispatch(l.base) < 0 ? -1 : 0;
    stop(&l);
    if (service_close(&l.service) != 0 || rc != 0 || l.rc != 0)
        return 1;
    return 0;
}
