/* SPDX-License-Identifier: MIT */
/* told.c - a hook that notes what it is told: told.h. */
#include "told.h"

static void hear(const shunt_error *error, void *arg)
{
    struct told *told = arg;

    pthread_mutex_lock(&told->lock);
    if (told->count < TOLD_MAX) {
        told->codes[told->count] = error->task_code != 0 ? error->task_code
                                                         : error->code;
        told->causes[told->count] = error->cause_count;
    }
    told->count++;
    told->inside += shunt_pool_current() != NULL;
    snprintf(told->task, sizeof told->task, "%s", error->task);
    pthread_mutex_unlock(&told->lock);
    if (told->also != NULL)
        told->also(told);
}

static struct told *pool_with(int workers, bool manual_clock)
{
    struct told *told = stage_bytes(sizeof *told);

    pthread_mutex_init(&told->lock, NULL);
    assert_ok(shunt_pool_new(&told->pool,
                             &(shunt_options){ .workers = workers,
                                               .manual_clock = manual_clock,
                                               .unobserved = hear,
                                               .unobserved_arg = told }));
    return told;
}

struct told *told_pool(int workers)
{
    return pool_with(workers, false);
}

struct told *told_manual_pool(int workers)
{
    return pool_with(workers, true);
}

unsigned told_count(struct told *told)
{
    pthread_mutex_lock(&told->lock);
    unsigned count = told->count;
    pthread_mutex_unlock(&told->lock);
    return count;
}

void told_drain(struct told *told)
{
    assert_ok(
        shunt_pool_shutdown(told->pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
}

void assert_told(struct told *told, unsigned count)
{
    harness_free(told->pool);
    assert_long(told_count(told), count);
    assert_long(told->inside, 0);
}
