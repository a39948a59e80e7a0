/* SPDX-License-Identifier: MIT */
/*
 * keeper_start.c - two threads set a pool's first timer.
 *
 * Edge: keeper (worker/timekeeper.c). One of them starts the timekeeper, and
 * whoever goes on sees what that has set up. With -DUNABLE=1 there is no memory
 * for the first one: its thread is joined, once, whoever tries again meanwhile.
 * With -DSTOP the pool ends at the same time: then there is none afterwards.
 */
#include "timekeeper_client.h"

static void *starter(void *unused)
{
    int rc = sh_timekeeper_start(&pool);

    (void)unused;
    assert(rc == 0 || rc == SHUNT_ENOMEM);
    if (rc == 0)
        assert(set_up == 42); /* keeper */
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_timekeeper();
    sh_store_rlx(&unable, UNABLE); /* relaxed: before the threads */
    one = thread_start(starter, NULL);
    two = thread_start(starter, NULL);
#ifdef STOP
    sh_timekeeper_stop(&pool);
#endif
    thread_join(one);
    thread_join(two);
#ifndef STOP
    sh_timekeeper_stop(&pool);
#endif
    /* relaxed: joined */
    assert(sh_load_rlx(&pool.time.keeper) == SH_KEEPER_NONE);
    assert(sh_load_rlx(&created) == sh_load_rlx(&joined));
    return 0;
}
