/* SPDX-License-Identifier: MIT */
/*
 * lane_two.c - two lanes whose tasks wait go to rest at once, and there is one
 * more task for them.
 *
 * Edge: seclude (worker/lane.c). There is no other lane: one of the two stays up
 * and may begin it.
 */
#define LIE
#include "care_client.h"

#define is_called is_called_lane
#define sh_futex_wait(...) return /* it lies: that is all that is asked */
#include "../../runtime/worker/lane.c"
#undef sh_futex_wait

static struct sh_post four_posts[4];
static struct sh_worker four[4];

bool sh_home_wants(const struct sh_pool *p, const shunt_task *task)
{
    (void)p;
    (void)task;
    return false;
}

static void *lane(void *i)
{
    sh_lane_rest(&four[(uintptr_t)i]);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_two();
    pool.workers = 1;
    pool.posts = four_posts;
    team.workers = four;
    team.count = 4;
    pool.camps[0].spare = 4;
    pool.camps[0].end = 4;
    sh_store_rlx(&pool.active, 4); /* relaxed: before the threads */
    sh_store_rlx(&pool.secluded, 1); /* relaxed: as above */
    for (unsigned i = 2; i < 4; i++) {
        four[i].pool = &pool;
        four[i].camp = &pool.camps[0];
        four[i].index = i;
        four[i].post = &four_posts[i];
        four[i].parked = 1;
    }
    one = thread_start(lane, (void *)2);
    two = thread_start(lane, (void *)3);
    thread_join(one);
    thread_join(two);
    /* relaxed: the threads have ended */
    assert(sh_load_rlx(&four_posts[2].rests) == SH_WORKS ||
           sh_load_rlx(&four_posts[3].rests) == SH_WORKS); /* relaxed: as above */
    return 0;
}
