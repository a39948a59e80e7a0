/* SPDX-License-Identifier: MIT */
/*
 * rest_refused.c - a pool is drained while the system refuses it a stand-in.
 *
 * Edge: quiet (worker/standin.c, shutdown.c). The one worker is stuck. Whoever
 * has looked at the post of a stand-in that was about to begin, and counts on
 * it, must hear that there is none.
 */
#include "submit_client.h"

static struct sh_post both_posts[2];
static struct sh_worker workers[2];
static struct sh_bell both_bells[2];

int sh_worker_start(struct sh_pool *p, unsigned index)
{
    (void)p;
    assert(index == 1);
    return SHUNT_ENOMEM;
}

void sh_worker_place(struct sh_pool *p, unsigned index)
{
    assert(workers[index].pool == p);
}

static void *timekeeper(void *unused)
{
    (void)unused;
    sh_worker_replace(&pool);
    return NULL;
}

static void *stopper(void *unused)
{
    (void)unused;
    assert(shunt_pool_shutdown(NULL, SHUNT_DRAIN, INT64_MAX, NULL) == 0);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_worker();
    sh_sleep_init(&pool.camps[0].sleep, both_bells, 0, 2, false);
    pool.posts = both_posts;
    pool.camps[0].spare = 1;
    pool.camps[0].end = 2;
    team.workers = workers;
    team.count = 2;
    for (unsigned i = 0; i < 2; i++) {
        workers[i].pool = &pool;
        workers[i].camp = &pool.camps[0];
        workers[i].index = i;
        workers[i].post = &both_posts[i];
    }
    sh_store_rlx(&pool.records.used, 1); /* relaxed: before the threads */
    sh_store_rlx(&both_posts[0].running, sh_hint(1, GENERATION)); /* relaxed:
                                                     * before the threads */
    sh_store_rlx(&both_posts[0].stuck, sh_hint(1, GENERATION)); /* relaxed: as
                                                                 * above */
    one = thread_start(timekeeper, NULL);
    two = thread_start(stopper, NULL);
    thread_join(one);
    thread_join(two);
    return 0;
}
