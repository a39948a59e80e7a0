/* SPDX-License-Identifier: MIT */
/*
 * primes_uv.c - the service of primes.h on a loop of libuv: the queue's
 * descriptor is a uv_poll_t, beside whatever else the loop watches.
 */
#define _GNU_SOURCE /* for uv.h */
#include <stdio.h>
#include <uv.h>

#include "primes.h"

struct loop {
    struct service service;
    uv_poll_t ready;
    uv_timer_t timer; /* by which requests come here */
    int rc;
};

/* The loop ends when nothing is watched any more. */
static void end(struct loop *l, int rc)
{
    l->rc = rc;
    uv_close((uv_handle_t *)&l->ready, NULL);
    if (!uv_is_closing((uv_handle_t *)&l->timer))
        uv_close((uv_handle_t *)&l->timer, NULL);
}

static void on_requests(uv_timer_t *timer)
{
    struct loop *l = timer->data;
    int rc = service_accept(&l->service);

    if (rc != 0)
        end(l, rc);
    else if (service_is_closing(&l->service))
        uv_close((uv_handle_t *)timer, NULL);
}

static void on_ready(uv_poll_t *ready, int status, int events)
{
    struct loop *l = ready->data;

    (void)events;
    if (status == 0)
        service_answer(&l->service);
    if (status != 0 || service_is_done(&l->service))
        end(l, status);
}

/* Watch the queue's descriptor, and start the timer: once a millisecond. */
static int start(uv_loop_t *uv, struct loop *l)
{
    int rc = uv_timer_init(uv, &l->timer);

    l->timer.data = l;
    l->ready.data = l;
    if (rc == 0)
        rc = uv_poll_init(uv, &l->ready, service_fd(&l->service));
    if (rc == 0)
        rc = uv_poll_start(&l->ready, UV_READABLE, on_ready);
    return rc != 0 ? rc : uv_timer_start(&l->timer, on_requests, 0, 1);
}

int main(void)
{
    struct loop l = { .rc = 0 };
    uv_loop_t uv;
    int rc = service_open(&l.service, 2000);

    if (rc != 0) {
        fprintf(stderr, "primes_uv: %s\n", shunt_code_text(rc));
        return 1;
    }
    if (uv_loop_init(&uv) != 0)
        return 1;
    rc = start(&uv, &l);
    if (rc == 0)
        rc = uv_run(&uv, UV_RUN_DEFAULT);
    /* Before the service, which closes the descriptor that it watches. */
    if (rc == 0)
        rc = uv_loop_close(&uv);
    if (service_close(&l.service) != 0 || rc != 0 || l.rc != 0)
        return 1;
    return 0;
}
