/* SPDX-License-Identifier: MIT */
/*
 * fault/fault_each.h - one story, told again and again, with another request
 * for memory refused each time.
 *
 * Idea. A story prepares a pool and some futures, does one thing on a thread
 * of its own, and looks at what came of it. The thing is done first with the
 * first request refused, then with the second, and so on, until it asks for
 * less than that; and then once more with all from the n-th on refused. A
 * fresh thread and a fresh pool find all caches empty, so every request is
 * made that there can be.
 *
 * After each telling the pool must still run a task, and be freed, and what it
 * took must have been given back, which the pool counts and asserts.
 */
#ifndef SHUNT_TESTS_FAULT_FAULT_EACH_H
#define SHUNT_TESTS_FAULT_FAULT_EACH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <shunt/shunt.h>

enum {
    STAGE_INPUTS = 785
};

struct story;

/* What one telling works on. */
struct stage {
    const struct story *story;
    shunt_pool *pool, *other;
    shunt_future *in[STAGE_INPUTS];
    shunt_promise *promise[STAGE_INPUTS];
    size_t count;
    shunt_future *out;
    shunt_promise *out_promise;
    void *block;
    int rc;
    atomic_int drops, runs, inside; /* inside: 1 runs, 2 has ended */
    int64_t nth;
};

struct story {
    const char *name;
    void (*prepare)(struct stage *); /* without faults; may be NULL */
    void (*act)(struct stage *);     /* with them, on a thread of its own */
    void (*check)(struct stage *);   /* without them */
    size_t n;                        /* for the three */
    shunt_future *(*combine)(shunt_future *const *, size_t);
};

/* Tell it with every fault. */
void fault_each(const struct story *story);

/* The same of a story that is written in place, in a test of cmocka's. */
#define FAULT_EACH(...)                                \
    do {                                               \
        static const struct story story = __VA_ARGS__; \
        (void)state;                                   \
        fault_each(&story);                            \
    } while (0)

/* Not pending after half a minute, or it hangs: its status. */
int fault_await(shunt_future *f);

/* For an act: stay until f has settled, so that faults reach what its task
 * does; needs no memory itself. */
void fault_stay(shunt_future *f);

/* For a task: last longer than who waits for it takes to go to sleep; not for
 * long, however many others want the processor. */
void fault_linger(void);

/* The status is 0 or SHUNT_ENOMEM; true if it is 0. */
bool fault_worked(const struct stage *s, int status);

/* n promises of a long, whose futures are inputs; and keep them. */
void fault_promises(struct stage *s, size_t n);
void fault_keep(struct stage *s);

/* To prepare a story: as many promises as its n. */
void fault_prepare(struct stage *s);

/* ---- tasks that several stories submit ---- */

int fault_nothing(const shunt_none *in, shunt_none *out);
SHUNT_TASK_DECLARE(fault_nothing, shunt_none, shunt_none)

int fault_add_one(const long *in, long *out);
SHUNT_TASK_DECLARE(fault_add_one, long, long)

/* For recover: the task's own code, as a value. */
int fault_mend(const shunt_error *in, long *out);
SHUNT_TASK_DECLARE(fault_mend, shunt_error, long)

/* For finally: look at an outcome and leave it as it is. */
int fault_look_on(const shunt_outcome *in, shunt_none *out);
SHUNT_TASK_DECLARE(fault_look_on, shunt_outcome, shunt_none)

#endif /* SHUNT_TESTS_FAULT_FAULT_EACH_H */
