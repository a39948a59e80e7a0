/* SPDX-License-Identifier: MIT */
/*
 * consumer.cc - a user's C++17 program, built with the installed headers and
 * pkg-config alone. Its exit status is 0, or the number of what is wrong.
 */
#include <shunt/shunt.h>

#include <cstring>

struct span {
    long from, to;
};

static int add_up(const span *in, long *out)
{
    for (long i = in->from; i < in->to; i++)
        *out += i;
    return 0;
}
SHUNT_TASK(add_up, span, long)

static int halve(const long *in, long *out)
{
    if (*in % 2 != 0)
        return shunt_fail(7, "%ld is odd", *in);
    *out = *in / 2;
    return 0;
}
SHUNT_TASK(halve, long, long)

static int scale(const long *in, const long *factor, long *out)
{
    *out = *in * *factor;
    return 0;
}
SHUNT_STEP(scale, long, long, long)

static int use(shunt_pool *pool)
{
    span first{ 0, 10 };
    long sum = 0;

    /* A pointer, as in C, and a value. */
    if (shunt_take(shunt_submit(pool, add_up, &first), &sum) != 0 || sum != 45)
        return 3;

    shunt_future *parts[] = {
        shunt_then(shunt_submit(pool, add_up, first), halve),
        shunt_then_with(
            shunt_then(shunt_submit(pool, add_up, span{ 0, 20 }), halve), scale,
            3L),
    };
    shunt_future *all = shunt_when_all_settled(parts, 2);
    if (shunt_await(all) != 0)
        return 4;

    const shunt_results *r = shunt_peek(all, shunt_results);
    if (r == nullptr || r->count != 2)
        return 5;

    const shunt_error *error = shunt_error_of(r->futures[0]);
    if (error->code != SHUNT_EFAILED || error->task_code != 7 ||
        std::strcmp(error->task, "halve") != 0)
        return 6;

    const long *value = shunt_peek(r->futures[1], long);
    if (value == nullptr || *value != 285)
        return 7;
    return shunt_release(all) == 0 ? 0 : 8;
}

int main()
{
    shunt_options options = {};
    shunt_pool *pool = nullptr;

    options.workers = 2;
    if (shunt_pool_new(&pool, &options) != 0)
        return 1;

    int wrong = use(pool);

    return shunt_pool_free(pool) != 0 ? 2 : wrong;
}
