/* SPDX-License-Identifier: MIT */
/*
 * guests_start.c - something is queued for the threads of an auto pool, which
 * are not there yet, while the timekeeper falls asleep.
 *
 * Edges: guests, alarm, sleep (future/notice.c, worker/guests.c, timekeeper.c).
 * The one thread is started, and finds it. With -DTWO two queue something, each
 * of whom may count on the other to have it started.
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

#ifdef TWO
#define TASKS 2
#else
#define TASKS 1
#endif
#define ROUNDS 4 /* searches before the guest gives up */

static struct sh_bell bells[2];
static struct sh_cell_of_ring cells[3];
static struct sh_camp *const camp = &pool.camps[SH_HOST_CAMP];
static pthread_t guest_thread;

/* -- the guest, as worker/loop.c and find.c have it -- */

static bool take_one(void)
{
    uint64_t hint;

    if (sh_ring_pop(&camp->ring, &hint, 1) == 0)
        return false;
    take_hint(hint);
    return true;
}

static void *guest(void *unused)
{
    int taken_yet = 0;

    (void)unused;
    sh_sleep_search(&camp->sleep, 1);
    for (int i = 0; i < ROUNDS; i++) {
        if (take_one()) {
            if (++taken_yet == TASKS)
                break;
            continue;
        }
        sh_sleep_announce(&camp->sleep, 1);
        if (sh_camp_is_queued(&pool, camp))
            sh_sleep_withdraw(&camp->sleep, 1);
        else
            sh_sleep_wait(&camp->sleep, 1, INT64_MAX);
    }
    if (taken_yet < TASKS)
        give_up();
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

static void *queuer(void *i)
{
    assert(sh_ring_push(&camp->ring, make_hint((uintptr_t)i), UINT64_MAX));
    sh_camp_notify(&pool, camp);
    return NULL;
}

int main(void)
{
    pthread_t threads[2];

    make_pool_with_timekeeper();
    pool.mixed = pool.shared = true;
    pool.workers = 1;
    pool.camps[SH_OWN_CAMP].end = 1;
    camp->first = 1;
    camp->end = 2;
    sh_store_rlx(&pool.active, 1);           /* relaxed: before the threads */
    sh_store_rlx(&posts[1].rests, SH_UNFIT); /* relaxed: as above */
    sh_ring_init(&camp->ring, &cells[0], 2);
    sh_ring_init(&camp->side, &cells[2], 1);
    sh_sleep_init(&camp->sleep, bells, 2, true);
    threads[0] = thread_start(timekeeper, NULL);
#ifdef TWO
    threads[1] = thread_start(queuer, (void *)2);
#endif
    (void)queuer((void *)1);
#ifdef TWO
    thread_join(threads[1]);
#endif
    thread_join(threads[0]);
    thread_join(guest_thread);
    for (uint64_t i = 1; i <= TASKS; i++)
        assert(was_taken(i));
    return 0;
}
