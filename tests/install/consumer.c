/* SPDX-License-Identifier: MIT */
/*
 * consumer.c - a user's C11 program, built with the installed headers and
 * pkg-config alone. Its exit status is 0, or the number of what is wrong.
 */
#include <shunt/shunt.h>

#include <string.h>

struct span {
    long from, to;
};

static int add_up(const struct span *in, long *out)
{
    for (long i = in->from; i < in->to; i++)
        *out += i;
    return 0;
}
SHUNT_TASK(add_up, struct span, long, .idempotent = true)

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
    shunt_future *parts[2];
    long sum = 0;

    parts[0] = shunt_submit(pool, add_up, &(struct span){ 0, 10 });
    if (shunt_take(parts[0], &sum) != 0 || sum != 45)
        return 3;

    /* 45 is odd, so the first fails; the second is 190 / 2 * 3. */
    parts[0] =
        shunt_then(shunt_submit(pool, add_up, &(struct span){ 0, 10 }), halve);
    parts[1] = shunt_then_with(
        shunt_then(shunt_submit(pool, add_up, &(struct span){ 0, 20 }), halve),
        scale, &(long){ 3 });

    shunt_future *all = shunt_when_all_settled(parts, 2);
    if (shunt_await(all) != 0)
        return 4;

    const shunt_results *r = shunt_peek(all, shunt_results);
    if (r == NULL || r->count != 2)
        return 5;

    const shunt_error *error = shunt_error_of(r->futures[0]);
    if (error->code != SHUNT_EFAILED || error->task_code != 7 ||
        strcmp(error->task, "halve") != 0 ||
        strstr(error->message, "45 is odd") == NULL)
        return 6;

    const long *value = shunt_peek(r->futures[1], long);
    if (value == NULL || *value != 285)
        return 7;
    return shunt_release(all) == 0 ? 0 : 8;
}

int main(void)
{
    shunt_pool *pool = NULL;

    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 2 }) != 0)
        return 1;

    int wrong = use(pool);

    return shunt_pool_free(pool) != 0 ? 2 : wrong;
}
