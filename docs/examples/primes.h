/* SPDX-License-Identifier: MIT */
/*
 * primes.h - a service that computes, behind an event loop that does not.
 *
 * Requests arrive on the loop's thread, go to a pool as tasks, and are
 * answered on the loop's thread as their results come. The loop watches the
 * descriptor of the service's queue and never waits for a task; and it holds
 * requests back while too many are at work.
 *
 * The service knows nothing of the loop: primes_epoll.c, primes_uv.c and
 * primes_event.c are three of them.
 */
#ifndef PRIMES_H
#define PRIMES_H

#include <shunt/shunt.h>

struct service {
    shunt_pool *pool;
    shunt_queue *queue;
    long expected; /* requests until the end */
    long accepted, answered, failed;
    long primes; /* in all answers */
};

/* Begin, for so many requests. 0; or SHUNT_E*, and nothing is to be closed. */
int service_open(struct service *s, long expected);

/* To be watched for reading; negative if there is none. */
int service_fd(const struct service *s);

/* Some requests have arrived: 0, or SHUNT_E* if one could not be accepted. */
int service_accept(struct service *s);

/* The descriptor is readable. */
void service_answer(struct service *s);

/* Whether more requests are to come; whether all have been answered. */
bool service_is_closing(const struct service *s);
bool service_is_done(const struct service *s);

/* End, whatever is at work. 0 if every request was answered well. */
int service_close(struct service *s);

#endif /* PRIMES_H */
