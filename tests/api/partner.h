/* SPDX-License-Identifier: MIT */
/*
 * partner.h - a thread that acts at the same moment as the test, again and
 * again.
 *
 * It waits on a word, so that both sides meet within microseconds; the distance
 * drifts over the rounds. On one CPU they meet less often, and a claim that
 * holds cannot fail.
 */
#ifndef SHUNT_TESTS_PARTNER_H
#define SHUNT_TESTS_PARTNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "harness.h"

struct partner {
    pthread_t thread;
    void (*act)(void *what);
    void *_Atomic what; /* set: act on it; NULL: done */
    atomic_bool ends;
    long round;
};

void partner_open(struct partner *p, void (*act)(void *what));
/* Have it act on what, which is not NULL, from now on; and wait until it has.
 */
void partner_begin(struct partner *p, void *what);
void partner_await(struct partner *p);
void partner_close(struct partner *p);

/* So many rounds, or as many as such a run has time for. */
long partner_rounds(long n);

#endif /* SHUNT_TESTS_PARTNER_H */
