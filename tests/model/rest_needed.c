/* SPDX-License-Identifier: MIT */
/*
 * rest_needed.c - a stand-in goes to rest while it becomes needed.
 *
 * Edge: rest (worker/standin.c, future/timer.c). The worker's code is given up
 * and never returns, when the stand-in, which had one too many at work, lies
 * down. It does not stay down. With -DSTOP the pool ends instead.
 */
#include "submit_client.h"

static struct sh_post two_posts[2];
static struct sh_worker workers[2];
static struct sh_bell two_bells[2];

static void *standin(void *unused)
{
    (void)unused;
    sh_standin_rest(&workers[1]);
    return NULL;
}

#ifdef STOP

/* As worker/pool.c does. */
static void *other(void *unused)
{
    (void)unused;
    sh_store_sc(&team.stop, 1); /* seq_cst: stop, rest */
    sh_standins_rouse(&pool);
    return NULL;
}

#else

static void *other(void *unused)
{
    (void)unused;
    come_by(10);
    /* As worker/timekeeper.c does. seq_cst: alarm */
    if (sh_xchg_sc(&pool.time.shorthanded, 0) != 0)
        sh_worker_replace(&pool);
    return NULL;
}

#endif

int main(void)
{
    pthread_t one, two;

    make_pool_with_worker();
    make_time(0);
    sh_sleep_init(&pool.camps[0].sleep, two_bells, 0, 2, false);
    pool.posts = two_posts;
    pool.camps[0].spare = 1;
    pool.camps[0].end = 2;
    sh_store_rlx(&pool.active, 2); /* relaxed: before the threads */
    team.workers = workers;
    team.count = 2;
    for (unsigned i = 0; i < 2; i++) {
        workers[i].pool = &pool;
        workers[i].camp = &pool.camps[0];
        workers[i].index = i;
        workers[i].post = &two_posts[i];
    }
    records[1].where = "here";
    make_record(1, SH_RUNNING | (uint64_t)SH_OWNER_WORKER(0) << 12,
                SH_KIND_TASK);
    assert(sh_timer_set(&pool, sh_timer_of_deadline(1), GENERATION, 5));
    sh_store_rlx(&two_posts[0].running, sh_hint(1, GENERATION)); /* relaxed:
                                                     * before the threads */
    one = thread_start(standin, NULL);
    two = thread_start(other, NULL);
    thread_join(one);
    thread_join(two);
    return 0;
}
