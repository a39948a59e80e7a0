/* SPDX-License-Identifier: MIT */
/*
 * untold_tells.c - a worker leaves what is to run inline in its deque, and is
 * about to park, as the timekeeper looks for what was left before.
 *
 * Edge: untold (future/notice.c, worker/worker.h, worker/timekeeper.c). One of
 * the two has the other worker woken, which sleeps.
 */
#include "timekeeper_client.h"

#include "../../runtime/future/notice.c"
#include "../../runtime/queue/deque.c"
#include "../../runtime/queue/ring.c"
#include "../../runtime/sync/sleep.c"
#include "worker/worker.h"

static struct sh_bell bells[2];
static struct sh_cell_of_ring cells[2];
static struct sh_sleep *const sleepers = &pool.camps[0].sleep;
static struct sh_worker worker;

static void *submitter(void *unused)
{
    (void)unused;
    be_worker(0);
    assert(sh_deque_push(&posts[0].deque, make_hint(1)));
    sh_camp_leave_untold(&pool, &pool.camps[0]);
    sh_worker_tells(&worker);
    return NULL;
}

int main(void)
{
    int64_t tell_ns = -1; /* that has come */
    pthread_t one;

    make_pool_with_timekeeper();
    pool.time.manual = false;
    /* relaxed: before the threads */
    sh_store_rlx(&pool.time.keeper, SH_KEEPER_RUNS);
    sh_store_rlx(&pool.active, 2); /* relaxed: as above */
    pool.camps[0].spare = pool.camps[0].end = 2;
    sh_ring_init(&pool.camps[0].ring, &cells[0], 1);
    sh_ring_init(&pool.camps[0].side, &cells[1], 1);
    sh_sleep_init(sleepers, bells, 0, 2, false);
    sh_sleep_search(sleepers, 1);
    sh_sleep_announce(sleepers, 1);
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
