/* SPDX-License-Identifier: MIT */
/*
 * step/tasks.h - tasks of all scenes.
 *
 * Task 0 of a scene is the one that does it; those that it submits have higher
 * numbers. A task that finds something other than it should fails with a code
 * of its own, which nobody expects.
 */
#ifndef SHUNT_TESTS_STEP_TASKS_H
#define SHUNT_TESTS_STEP_TASKS_H

#include "stepper.h"

enum {
    UNEXPECTED = 77
};

/* -- tasks of all scenes -- */

struct deed {
    int id;
    long value;
};

static inline int leaf(const struct deed *in, long *out)
{
    now_begins(in->id);
    *out = in->value;
    now_ends(in->id);
    return 0;
}
SHUNT_TASK(leaf, struct deed, long)

static inline int failing(const struct deed *in, long *out)
{
    (void)out;
    now_begins(in->id);
    now_ends(in->id);
    return shunt_fail((int)in->value, "task %d fails with %ld", in->id,
                      in->value);
}
SHUNT_TASK(failing, struct deed, long)

struct more {
    int id;
};

static inline int add_one(const long *in, const struct more *ctx, long *out)
{
    now_begins(ctx->id);
    *out = *in + 1;
    now_ends(ctx->id);
    return 0;
}
SHUNT_STEP(add_one, long, struct more, long)

static inline shunt_future *send(int id, long value)
{
    shunt_future *f = shunt_submit(NULL, leaf, &(struct deed){ id, value });

    now_sent(id);
    return f;
}

/* What the host promises; and a task that waits for that. */
static inline shunt_future *promise_of_host(struct play *p)
{
    shunt_future *f;

    if (shunt_promise_new(p->name, long, &p->promise, &f) != 0)
        wrong("no promise");
    return f;
}

static inline int waiting(shunt_future *const *in, long *out)
{
    const long *value;
    int rc;

    now_begins(0);
    rc = shunt_await(*in);
    now_at(0);
    value = shunt_peek(*in, long);
    if (rc == 0)
        *out = value != NULL ? *value : -1;
    now_ends(0);
    return rc;
}
SHUNT_TASK(waiting, shunt_future *, long)

/* A task that does something: begin and end, and its number, are here. */
#define DO(what)                                                         \
    static int what##_body(const shunt_none *in, long *out)              \
    {                                                                    \
        int rc;                                                          \
                                                                         \
        (void)in;                                                        \
        now_begins(0);                                                   \
        rc = what##_does(out);                                           \
        now_ends(0);                                                     \
        return rc;                                                       \
    }                                                                    \
    SHUNT_TASK(what##_body, shunt_none, long)                            \
    static void what##_begins(struct play *p)                            \
    {                                                                    \
        now_sent(0);                                                     \
        expect(p, shunt_submit(p->name, what##_body, NULL), 60, BIT(0)); \
    }

#endif /* SHUNT_TESTS_STEP_TASKS_H */
