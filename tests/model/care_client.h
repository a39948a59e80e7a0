/* SPDX-License-Identifier: MIT */
/*
 * care_client.h - submit_client.h with two processes that have begun as many
 * tasks as they may, and have some parked.
 */
#ifndef SH_MODEL_CARE_CLIENT_H
#define SH_MODEL_CARE_CLIENT_H

#include "submit_client.h"

#ifdef LIE
#define sh_futex_wait(...) return true /* it lies: that is all that is asked */
#endif
#include "../../runtime/worker/care.c"
#undef sh_futex_wait

static struct sh_post two_posts[2];
static struct sh_worker workers[2];
static struct sh_bell two_bells[2];

static void make_two(void)
{
    make_pool_with_worker();
    pool.shared = true;
    pool.workers = 2;
    sh_sleep_init(&pool.camps[0].sleep, two_bells, 0, 2, false);
    pool.posts = two_posts;
    pool.camps[0].spare = 2;
    pool.camps[0].end = 2;
    sh_store_rlx(&pool.active, 2); /* relaxed: before the threads */
    team.workers = workers;
    team.worker_tasks_max = 1;
    for (unsigned i = 0; i < 2; i++) {
        workers[i].pool = &pool;
        workers[i].camp = &pool.camps[0];
        workers[i].index = i;
        workers[i].post = &two_posts[i];
        workers[i].begun = 1;
        workers[i].parked = 1;
    }
}

static void *used_up(void *i)
{
    (void)sh_care_rests(&workers[(uintptr_t)i]);
    return NULL;
}

#endif /* SH_MODEL_CARE_CLIENT_H */
