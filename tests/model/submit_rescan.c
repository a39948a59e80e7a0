/* SPDX-License-Identifier: MIT */
/*
 * submit_rescan.c - a task that no queue takes is found all the same.
 *
 * Edge: sleep, of rescan (future/submit.c, worker/find.c). The ring is full of
 * hints that are stale. The worker throws them away and is about to sleep
 * when a task is submitted, whose hint goes to the ring or nowhere.
 */
#include "submit_client.h"

static void *submitter(void *unused)
{
    uint64_t handle;

    (void)unused;
    assert(submit(&pool, &nothing, NULL, "here", INT64_MAX, &handle) == 0);
    return NULL;
}

static void *runner(void *unused)
{
    struct sh_sleep *s = &pool.camps[0].sleep;

    (void)unused;
    be_worker();
    sh_sleep_search(s, 0);
    for (int i = 0; i < 5; i++) {
        uint64_t hint = sh_worker_find(&worker);

        if (hint != 0 && run_task(hint))
            return NULL;
        if (hint != 0)
            continue;
        sh_sleep_announce(s, 0);
        if (sh_worker_sees_work(&worker))
            sh_sleep_withdraw(s, 0);
        else
            sh_sleep_wait(s, 0, INT64_MAX);
    }
    give_up();
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_worker();
    pool.queue_max = 8;
    sh_store_rlx(&pool.camps[0].limit, 8); /* relaxed: before the threads */
    assert(sh_ring_push(&pool.camps[0].ring, sh_hint(3, GENERATION), 8));
    assert(sh_ring_push(&pool.camps[0].ring, sh_hint(3, GENERATION), 8));
    one = thread_start(submitter, NULL);
    two = thread_start(runner, NULL);
    thread_join(one);
    thread_join(two);
    /* relaxed: joined */
    assert(sh_phase_of(sh_load_rlx(&records[1].state)) == SH_DONE);
    return 0;
}
