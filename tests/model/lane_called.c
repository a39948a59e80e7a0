/* SPDX-License-Identifier: MIT */
/*
 * lane_called.c - a lane goes to rest while somebody comes upon a task for it.
 *
 * Edge: seclude (worker/lane.c). It does not stay down; nor, with -DRESUMED, if
 * its own task that waits may go on.
 */
#include "care_client.h"

#define is_called is_called_lane
#include "../../runtime/worker/lane.c"

static struct sh_post three_posts[3];
static struct sh_worker lane_of;

bool sh_home_wants(const struct sh_pool *p, const shunt_task *task)
{
    (void)p;
    (void)task;
    return false;
}

static void *lane(void *unused)
{
    (void)unused;
    sh_lane_rest(&lane_of);
    return NULL;
}

static void *other(void *unused)
{
    (void)unused;
#ifdef RESUMED
    sh_resume(&pool, &records[1], SH_OWNER_WORKER(2));
#else
    sh_lane_call(&pool);
#endif
    return NULL;
}

int main(void)
{
    static struct sh_bell bells[3];
    pthread_t one, two;

    make_two();
    pool.workers = 1;
    sh_sleep_init(&pool.camps[0].sleep, bells, 0, 3, false);
    pool.posts = three_posts;
    team.count = 3;
    pool.camps[0].spare = 3;
    pool.camps[0].end = 3;
    sh_store_rlx(&pool.active, 3); /* relaxed: before the threads */
    lane_of.pool = &pool;
    lane_of.camp = &pool.camps[0];
    lane_of.index = 2;
    lane_of.post = &three_posts[2];
#ifdef RESUMED
    lane_of.parked = 1;
#endif
    one = thread_start(lane, NULL);
    two = thread_start(other, NULL);
    thread_join(one);
    thread_join(two);
    return 0;
}
