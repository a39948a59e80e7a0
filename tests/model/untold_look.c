/* SPDX-License-Identifier: MIT */
/*
 * untold_look.c - a worker leaves what is to run inline in its deque, tells
 * nobody, and does something else.
 *
 * Edges: untold, alarm (future/notice.c, worker/timekeeper.c). Another worker
 * sleeps. The timekeeper has it woken, after a while, and it finds the task.
 */
#define CLOCK_STEP_NS 2000000
#define FUTEX_IS_TIME(deadline_ns) ((deadline_ns) != INT64_MAX)
#include "timekeeper_client.h"

#include "../../runtime/future/notice.c"
#include "../../runtime/queue/deque.c"
#include "../../runtime/queue/ring.c"
#include "../../runtime/sync/sleep.c"

static struct sh_bell bells[2];
static struct sh_cell_of_ring cells[2];
static struct sh_sleep *const sleepers = &pool.camps[0].sleep;

static void *submitter(void *unused)
{
    (void)unused;
    be_worker(0);
    assert(sh_deque_push(&posts[0].deque, make_hint(1)));
    sh_camp_leave_untold(&pool, &pool.camps[0]);
    return NULL;
}

/* Worker 1. */
static void thief(void)
{
    uint64_t hint = 0;

    sh_sleep_wait(sleepers, 1, INT64_MAX);
    assert(sh_deque_steal(&posts[0].deque, &hint) == SH_STEAL_GOT);
    take_hint(hint);
}

int main(void)
{
    pthread_t one, two;

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
    one = thread_start(submitter, NULL);
    two = thread_start(timekeeper, NULL);
    thief();
    sh_store_sc(&pool.time.stop, 1); /* seq_cst: alarm */
    sh_time_ring(&pool);
    thread_join(one);
    thread_join(two);
    assert(was_taken(1));
    return 0;
}
