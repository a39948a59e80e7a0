/* SPDX-License-Identifier: MIT */
/*
 * submit_room.c - a submit waits for room while a worker makes some.
 *
 * Edge: room (future/submit.c, notice.c, worker/find.c). The queue takes one
 * task and has one. The worker takes it, and another only after that; the
 * submitter sleeps until it may put its own in. With -DDROPPED the task is
 * cancelled instead, which makes room as well (future/settle.c).
 */
#include "submit_client.h"

static void *submitter(void *unused)
{
    (void)unused;
    assert(sh_handle_index(sh_handle_of(shunt_submit_wait_here(
               NULL, &nothing, NULL, "here"))) != SH_HANDLE_RESERVED);
    return NULL;
}

static void *maker_of_room(void *unused)
{
    (void)unused;
#ifdef DROPPED
    struct sh_work work = { 0 };

    assert(sh_cancel_ask(&work, &pool, &records[3], GENERATION) == 1);
    sh_work_do(&work);
#else
    uint64_t hint;

    assert(sh_ring_pop(&pool.camps[0].ring, &hint, 1) == 1);
    sh_worker_took(&worker);
#endif
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_worker();
    pool.queue_max = 1;
    sh_store_rlx(&pool.camps[0].limit, 1); /* relaxed: before the threads */
    records[3].where = "before";
    make_record(3, SH_READY | SH_OUTSIDE, SH_KIND_TASK);
    assert(sh_ring_push(&pool.camps[0].ring, sh_hint(3, GENERATION), 1));
    one = thread_start(submitter, NULL);
    two = thread_start(maker_of_room, NULL);
    thread_join(one);
    thread_join(two);
#ifdef DROPPED
    assert(sh_ring_size(&pool.camps[0].ring) == 2);
#else
    assert(sh_ring_size(&pool.camps[0].ring) == 1);
#endif
    return 0;
}
