/* SPDX-License-Identifier: MIT */
/*
 * served_stop.c - the clock is moved by hand while the timekeeper is stopped.
 *
 * Edge: served (worker/timekeeper.c). Whoever moves the clock is a guest of the
 * pool, and whoever frees it waits for him: so he must not wait for what
 * nobody lets happen any more.
 */
#include "timekeeper_client.h"

static void *mover(void *unused)
{
    (void)unused;
    assert(shunt_pool_advance(NULL, 7) == 0);
    return NULL;
}

int main(void)
{
    pthread_t thread;

    make_pool_with_timekeeper();
    /* It was moved before. relaxed: before the threads */
    sh_store_rlx(&pool.time.moved, 1);
    assert(sh_timekeeper_start(&pool) == 0);
    thread = thread_start(mover, NULL);
    sh_timekeeper_stop(&pool);
    thread_join(thread);
    return 0;
}
