/* SPDX-License-Identifier: MIT */
/*
 * untold_tells.c - a worker leaves what is to run inline in its deque, and is
 * about to park, as the timekeeper looks for what was left before.
 *
 * Edge: untold (future/notice.c, worker/worker.h, worker/timekeeper.c). One of
 * the two has the other worker woken, which sleeps.
 */
#include "untold_client.h"
#include "worker/worker.h"

static struct sh_worker worker;

static void *submitter(void *unused)
{
    (void)unused;
    leave_untold();
    sh_worker_tells(&worker);
    return NULL;
}

int main(void)
{
    int64_t tell_ns = -1; /* that has come */
    pthread_t one;

    make_pool_with_sleeper();
    worker.pool = &pool;
    worker.camp = &pool.camps[0];
    worker.post = &posts[0];
    sh_store_rlx(&pool.time.untold, 1); /* relaxed: as above */
    one = thread_start(submitter, NULL);
    (void)tell(&pool, &tell_ns);
    thread_join(one);
    assert(!sh_sleep_is_idle(sleepers, 1));
    return 0;
}
