/* SPDX-License-Identifier: MIT */
/*
 * rest_two.c - two stand-ins go to rest at once, and one is needed.
 *
 * Edge: rest (worker/standin.c). The one worker is stuck. Each of the two sees
 * that there is one too many at work; one of them stays.
 */
#define LIE_DOWN lie_down
static void lie_down(void);

#include "submit_client.h"

static struct sh_post all_posts[3];
static struct sh_worker workers[3];
static struct sh_bell all_bells[3];

/* It lies: that is all that is asked. */
static void lie_down(void)
{
    sh_store_sc(&team.stop, 1); /* seq_cst: rest */
}

static void *standin(void *i)
{
    sh_standin_rest(&workers[(uintptr_t)i]);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_worker();
    sh_sleep_init(&pool.camps[0].sleep, all_bells, 0, 3, false);
    pool.posts = all_posts;
    pool.camps[0].spare = 1;
    pool.camps[0].end = 3;
    sh_store_rlx(&pool.active, 3); /* relaxed: before the threads */
    for (unsigned i = 0; i < 3; i++) {
        workers[i].pool = &pool;
        workers[i].camp = &pool.camps[0];
        workers[i].index = i;
        workers[i].post = &all_posts[i];
    }
    sh_store_rlx(&all_posts[0].running, sh_hint(1, GENERATION)); /* relaxed:
                                                     * before the threads */
    sh_store_rlx(&all_posts[0].stuck, sh_hint(1, GENERATION)); /* relaxed: as
                                                                * above */
    one = thread_start(standin, (void *)1);
    two = thread_start(standin, (void *)2);
    thread_join(one);
    thread_join(two);
    assert(count_at_work(&pool.camps[0]) >= 1);
    return 0;
}
