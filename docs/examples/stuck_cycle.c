/* SPDX-License-Identifier: MIT */
/* stuck_cycle.c - two tasks that wait for each other: docs/diagnose.md. */
#include <shunt/shunt.h>
#include <unistd.h>

/* What a task needs of the other one. */
struct needs {
    shunt_future *ready; /* when both futures are known */
    shunt_future **other;
};

static int reserve(const struct needs *in, shunt_none *out)
{
    (void)out;
    return shunt_await(in->ready) != 0 || shunt_await(*in->other) != 0;
}
SHUNT_TASK(reserve, struct needs, shunt_none)

static int charge(const struct needs *in, shunt_none *out)
{
    (void)out;
    return shunt_await(in->ready) != 0 || shunt_await(*in->other) != 0;
}
SHUNT_TASK(charge, struct needs, shunt_none)

int main(void)
{
    shunt_promise *both;
    shunt_future *ready, **fs;
    shunt_pool *pool;

    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) != 0 ||
        shunt_promise_new(pool, shunt_none, &both, &ready) != 0 ||
        (fs = shunt_pool_alloc(pool, 2 * sizeof *fs)) == NULL)
        return 1;
    fs[0] = shunt_submit(pool, reserve, (&(struct needs){ ready, &fs[1] }));
    fs[1] = shunt_submit(pool, charge, (&(struct needs){ ready, &fs[0] }));
    if (shunt_promise_give(both, NULL) != 0)
        return 1;
    if (shunt_await_for(fs[1], SHUNT_MS(200)) == SHUNT_PENDING)
        return -shunt_dump(pool, STDOUT_FILENO);
    return 1;
}
