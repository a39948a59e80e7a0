/* SPDX-License-Identifier: MIT */
/* stuck_endless.c - a task that does not come to its end: docs/diagnose.md. */
#include <shunt/shunt.h>
#include <unistd.h>

/* How many digits a number has; of 0 and less, it should. */
static int count_digits(const long *in, int *out)
{
    for (volatile long n = *in; n != 1; n /= 10)
        ++*out;
    return 0;
}
SHUNT_TASK(count_digits, long, int, .name = "count digits")

int main(void)
{
    shunt_future *none, *three;
    shunt_pool_stats now;
    shunt_pool *pool;

    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) != 0)
        return 1;
    none = shunt_submit(pool, count_digits, &(long){ 0 });
    while (shunt_stats(pool, &now, NULL, 0) == 0 && now.queued_outside > 0 &&
           shunt_await_for(none, SHUNT_MS(1)) == SHUNT_PENDING)
        continue; /* until it has begun */
    if (shunt_await_for(none, SHUNT_MS(100)) != SHUNT_PENDING)
        return 1;
    three = shunt_submit(pool, count_digits, &(long){ 100 });
    if (shunt_await_for(three, SHUNT_MS(100)) == SHUNT_PENDING)
        return -shunt_dump(pool, STDOUT_FILENO);
    return 1;
}
