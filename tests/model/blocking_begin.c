/* SPDX-License-Identifier: MIT */
/*
 * blocking_begin.c - a section begins while a task is pushed.
 *
 * Edges: blocking, sleep (worker/blocking.c, sync/sleep.c). The one worker is
 * busy, the one stand-in rests, and the timekeeper, who looks from time to
 * time, does so too late: when both are done the stand-in is up. With -DARMED
 * somebody stands by already. With -DRESTS the stand-in only lies down
 * meanwhile, and does not stay down.
 */
#include "submit_client.h"

static struct sh_post both_posts[2];
static struct sh_worker workers[2];
static struct sh_bell both_bells[2];

static void *beginner(void *unused)
{
    (void)unused;
    sh_blocking_enter(&workers[0]);
    return NULL;
}

static void *pusher(void *unused)
{
    (void)unused;
    assert(sh_ring_push(&pool.camps[0].ring, make_hint(1), UINT64_MAX));
    sh_sleep_notify(&pool.camps[0].sleep);
    return NULL;
}

static inline void *standin(void *unused)
{
    (void)unused;
    sh_standin_rest(&workers[1]);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_worker();
    make_time(0);
    sh_sleep_init(&pool.camps[0].sleep, both_bells, 0, 2, false);
    pool.posts = both_posts;
    pool.camps[0].spare = 1;
    pool.camps[0].end = 2;
    sh_store_rlx(&pool.active, 2); /* relaxed: before the threads */
    team.workers = workers;
    team.count = 2;
    team.spares = 0;
    team.blocking_max = 1;
    for (unsigned i = 0; i < 2; i++) {
        workers[i].pool = &pool;
        workers[i].camp = &pool.camps[0];
        workers[i].index = i;
        workers[i].post = &both_posts[i];
    }
    sh_store_rlx(&pool.time.watches, 1); /* relaxed: before the threads */
    pool.camps[0].sleep.called_arg = &pool.camps[0];
    pool.camps[0].sleep.called = be_called;
#ifdef ARMED
    sh_sleep_stand_by(&pool.camps[0].sleep);
#endif
#ifndef RESTS
    sh_store_rlx(&both_posts[1].rests, SH_RESTS); /* relaxed: before the
                                                   * threads */
#endif
    one = thread_start(beginner, NULL);
    two = thread_start(pusher, NULL);
#ifdef RESTS
    (void)standin(NULL);
#endif
    thread_join(one);
    thread_join(two);
    /* relaxed: after the joins */
    assert(sh_load_rlx(&both_posts[1].rests) == SH_WORKS);
    return 0;
}
