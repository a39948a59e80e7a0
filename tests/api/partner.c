/* SPDX-License-Identifier: MIT */
/* partner.c - a thread that acts at the same moment as the test. */
#include <sched.h>

#include "partner.h"

static void *be_partner(void *user)
{
    struct partner *p = user;

    while (!atomic_load(&p->ends)) {
        void *what = atomic_load(&p->what);

        if (what == NULL) {
            sched_yield();
            continue;
        }
        for (volatile long i = 0; i < p->round % 97; i++)
            continue;
        p->act(what);
        p->round++;
        atomic_store(&p->what, NULL);
    }
    return NULL;
}

void partner_open(struct partner *p, void (*act)(void *what))
{
    *p = (struct partner){ .act = act };
    assert_int_equal(pthread_create(&p->thread, NULL, be_partner, p), 0);
}

void partner_begin(struct partner *p, void *what)
{
    atomic_store(&p->what, what);
}

void partner_await(struct partner *p)
{
    while (atomic_load(&p->what) != NULL)
        sched_yield();
}

void partner_close(struct partner *p)
{
    atomic_store(&p->ends, true);
    pthread_join(p->thread, NULL);
}

long partner_rounds(long n)
{
    return harness_rounds(n);
}
