/* SPDX-License-Identifier: MIT */
/*
 * find_steal.c - a thief has a batch in its hands while a worker falls asleep.
 *
 * Edges: sleep (worker/find.c). Three tasks that never end lie in the deque of
 * worker 0, who takes one of them. Worker 1 steals, and brings a second task
 * to its own deque; worker 2 looks meanwhile, and must not sleep on beside it.
 */
#define SH_DEQUE_SLOTS 4
#include "settle_client.h"

#include "../../runtime/worker/find.c"

static struct sh_post posts[3];
static struct sh_worker workers[3];
static struct sh_bell own_bells[3];
static struct sh_cell_of_ring ring_cells[2];

static void *thief(void *unused)
{
    (void)unused;
    (void)sh_worker_find(&workers[1]);
    return NULL;
}

static void *sleeper(void *unused)
{
    struct sh_sleep *s = &pool.camps[0].sleep;

    (void)unused;
    sh_sleep_search(s, 2);
    for (int i = 0; i < 3; i++) {
        if (sh_worker_find(&workers[2]) != 0)
            return NULL;
        sh_sleep_announce(s, 2);
        if (sh_worker_sees_work(&workers[2]))
            sh_sleep_withdraw(s, 2);
        else
            sh_sleep_wait(s, 2, INT64_MAX);
    }
    give_up();
    return NULL;
}

int main(void)
{
    pthread_t one, two;
    uint64_t hint;

    make_pool_with_queues();
    sh_ring_init(&pool.camps[0].ring, ring_cells, 2);
    pool.workers = 3;
    pool.cpus = 3;
    pool.camps[0].spare = 3;
    pool.camps[0].end = 3;
    sh_store_rlx(&pool.active, 3); /* relaxed: before the threads */
    pool.posts = posts;
    sh_sleep_init(&pool.camps[0].sleep, own_bells, 0, 3, false);
    for (unsigned i = 0; i < 3; i++) {
        workers[i].pool = &pool;
        workers[i].camp = &pool.camps[0];
        workers[i].post = &posts[i];
        workers[i].index = i;
        workers[i].random = 1;
        assert(sh_deque_push(&posts[0].deque, i + 1));
    }
    one = thread_start(thief, NULL);
    two = thread_start(sleeper, NULL);
    (void)sh_deque_pop(&posts[0].deque, &hint);
    thread_join(one);
    thread_join(two);
    return 0;
}
