/* SPDX-License-Identifier: MIT */
/*
 * alarm_set.c - a timer is set while the timekeeper falls asleep.
 *
 * Edge: alarm (future/timer.c, worker/timekeeper.c). What is due at once
 * happens, and is not slept through. With -DTWO it sleeps already, and two are
 * set by two threads, one of which may count on the other to wake it.
 */
#include "timekeeper_client.h"

#ifdef TWO
#define THREAD sleeper
static void *sleeper(void *unused)
{
    struct sh_time *time = &pool.time;

    sh_futex_wait(&time->rung, 0, INT64_MAX, false);
    sh_store_sc(&time->wake_ns, INT64_MIN); /* seq_cst: alarm */
    return timekeeper(unused);
}
#else
#define THREAD timekeeper
#endif

static void *setter(void *cell)
{
    uint32_t i = (uint32_t)(uintptr_t)cell;

    set(i, i, 5);
    return NULL;
}

int main(void)
{
    pthread_t threads[3];

    make_pool_with_timekeeper();
    sh_store_rlx(&pool.time.now_ns, 10); /* relaxed: before the threads */
    to_reach = 1;
#ifdef TWO
    to_reach = 2;
    sh_store_rlx(&pool.time.wake_ns, INT64_MAX); /* relaxed: as above */
    threads[2] = thread_start(setter, (void *)2);
#endif
    threads[0] = thread_start(THREAD, NULL);
    threads[1] = thread_start(setter, (void *)1);
#ifdef TWO
    thread_join(threads[2]);
#endif
    thread_join(threads[1]);
    thread_join(threads[0]);
    assert(to_reach == 0);
    return 0;
}
