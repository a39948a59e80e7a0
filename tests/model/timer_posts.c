/* SPDX-License-Identifier: MIT */
/*
 * timer_posts.c - what one worker has set another puts forward.
 *
 * Edge: timer (future/timer.c). A record goes from one worker to another while
 * its timer is on a list of the first, which the timekeeper may take before or
 * after (-DBACK) the lists of the second. A third timer is on each list, so
 * that it is one. All happen, once.
 */
#include "timer_client.h"

#ifdef BACK
#define FIRST 1
#else
#define FIRST 0
#endif

static _Atomic bool is_over; /* the first wait */

static void *first(void *unused)
{
    (void)unused;
    be_worker(FIRST);
    set(2, 4, 4);
    set(1, 1, 5);
    sh_store_rel(&is_over, true); /* release: free */
    return NULL;
}

static void *second(void *unused)
{
    (void)unused;
    be_worker(!FIRST);
    if (!sh_load_acq(&is_over)) /* acquire: free */
        return NULL;
    set(1, 2, 3);
    set(2, 5, 2);
    return NULL;
}

static void *timekeeper(void *unused)
{
    (void)unused;
    (void)come_by(1);
    return NULL;
}

int main(void)
{
    pthread_t threads[3];

    make_pool_with_timers();
    pool.camps[0].end = 2;
    sh_store_rlx(&pool.active, 2); /* relaxed: before the threads */
    threads[0] = thread_start(first, NULL);
    threads[1] = thread_start(second, NULL);
    threads[2] = thread_start(timekeeper, NULL);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    (void)come_by(5);
    if (payload[2] == 2)
        assert(reached[2] == 1 && reached[5] == 1);
    else
        assert(reached[1] == 1 && reached[4] == 1);
    assert(reached[1] + reached[2] == 1 && reached[4] + reached[5] == 1);
    return 0;
}
