/* SPDX-License-Identifier: MIT */
/*
 * untold_client.h - a timekeeper, a worker that leaves what is to run inline in
 * its deque, and another one, worker 1, that sleeps.
 */
#include "timekeeper_client.h"

#include "../../runtime/future/notice.c"
#include "../../runtime/queue/deque.c"
#include "../../runtime/queue/ring.c"
#include "../../runtime/sync/sleep.c"

static struct sh_bell bells[2];
static struct sh_cell_of_ring cells[2];
static struct sh_sleep *const sleepers = &pool.camps[0].sleep;

/* Worker 0 leaves it, and tells nobody. */
static void leave_untold(void)
{
    be_worker(0);
    assert(sh_deque_push(&posts[0].deque, make_hint(1)));
    sh_camp_leave_untold(&pool, &pool.camps[0]);
}

static void make_pool_with_sleeper(void)
{
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
}
