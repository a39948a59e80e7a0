/* SPDX-License-Identifier: MIT */
/*
 * guests_start.c - something is queued for the threads of an auto pool, which
 * are not there yet, while the timekeeper falls asleep.
 *
 * Edges: guests, alarm, sleep (future/notice.c, worker/guests.c, timekeeper.c).
 * The one thread is started, and finds it. With -DWANTED somebody else has said
 * before that it is to be.
 */
#include "timekeeper_client.h"

#include "../../runtime/future/notice.c"
#include "../../runtime/queue/deque.c"
#include "../../runtime/queue/ring.c"
#include "../../runtime/sync/sleep.c"
#include "../../runtime/worker/standin.c"
#define start start_guests
#include "../../runtime/worker/guests.c"
#undef start

#define ROUNDS 4 /* searches before the guest gives up */

static struct sh_bell bells[2];
static struct sh_cell_of_ring cells[2];
static struct sh_camp *const camp = &pool.camps[SH_HOST_CAMP];
static pthread_t guest_thread;

/* -- the guest, as worker/loop.c and find.c have it -- */

static void *guest(void *unused)
{
    uint64_t hint = 0;

    (void)unused;
    sh_sleep_search(&camp->sleep, 1);
    for (int i = 0; i < ROUNDS && hint == 0; i++) {
        if (sh_ring_pop(&camp->ring, &hint, 1) > 0)
            break;
        sh_sleep_announce(&camp->sleep, 1);
        if (sh_camp_is_queued(&pool, camp))
            sh_sleep_withdraw(&camp->sleep, 1);
        else
            sh_sleep_wait(&camp->sleep, 1, INT64_MAX);
    }
    if (hint == 0)
        give_up();
    take_hint(hint);
    sh_store_sc(&pool.time.stop, 1); /* seq_cst: alarm */
    sh_time_ring(&pool);
    return NULL;
}

int sh_worker_start(struct sh_pool *p, unsigned index)
{
    assert(p == &pool && index == 1);
    guest_thread = thread_start(guest, NULL);
    return 0;
}

void sh_handed_do(struct sh_pool *p, unsigned place)
{
    (void)p;
    (void)place;
}

int main(void)
{
    pthread_t one;

    make_pool_with_timekeeper();
    pool.mixed = pool.shared = true;
    pool.workers = 1;
    pool.camps[SH_OWN_CAMP].end = 1;
    camp->pool = &pool;
    camp->first = 1;
    camp->spare = camp->end = 2;
    sh_store_rlx(&pool.active_guests, 1); /* relaxed: before the threads */
    sh_store_rlx(&pool.active, 1);           /* relaxed: before the threads */
    sh_store_rlx(&posts[1].rests, SH_UNFIT); /* relaxed: as above */
    sh_ring_init(&camp->ring, &cells[0], 1);
    sh_ring_init(&camp->side, &cells[1], 1);
    sh_sleep_init(&camp->sleep, bells, 1, 1, true);
#ifdef WANTED
    sh_store_rlx(&pool.guests, SH_GUESTS_WANTED); /* relaxed: as above */
#endif
    one = thread_start(timekeeper, NULL);
    assert(sh_ring_push(&camp->ring, make_hint(1), UINT64_MAX));
    sh_camp_notify(&pool, camp);
    thread_join(one);
    thread_join(guest_thread);
    assert(was_taken(1));
    return 0;
}
