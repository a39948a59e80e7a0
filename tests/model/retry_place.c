/* SPDX-License-Identifier: MIT */
/*
 * retry_place.c - a retry makes another attempt while it is repaired that the
 * process died which let go of the former one.
 *
 * Edges: parting (task/ticket.h). Record 1 is the retry, whose turn a thread
 * runs; record 2 was the attempt, whose process has taken it out of the ticket,
 * or not yet, and has died before its post was cleared. Whoever repairs that does
 * not take the new attempt, record 3, out.
 */
#define POSTS 1
#define DEAD 1
#include "ticket_client.h"

static void *turn(void *unused)
{
    (void)unused;
    assert(sh_ticket_has_place(&pool, &ticket));
    sh_ticket_hold_more(&pool, &ticket, &records[3]);
    return NULL;
}

static void *repairs(void *unused)
{
    (void)unused;
    sh_ticket_mend(&pool, &many_posts[0]);
    return NULL;
}

int main(void)
{
    pthread_t threads[2];
    uint64_t bit;

    make_pool_with_queues();
    pool.shared = true;
    pool.posts = many_posts;
    pool.camps[0].spare = POSTS;
    pool.camps[0].end = POSTS;
    sh_store_rlx(&pool.active, POSTS); /* relaxed: before the threads */
    make_holder(1, SH_RUNNING | SH_BUSY, SH_KIND_RETRY);
    make_holder(2, SH_RELEASING, SH_KIND_TRY);
    (void)make_record(3, SH_INIT, SH_KIND_TRY);
    sh_store_sc(&many_posts[0].ticket,
                (uintptr_t)&ticket | 1); /* seq_cst: parting */
#ifdef OUT
    (void)take_out(&ticket, 2);
#endif
    threads[0] = thread_start(repairs, NULL);
    threads[1] = thread_start(turn, NULL);
    thread_join(threads[0]);
    thread_join(threads[1]);
    bit = bit_in(*(uint64_t *)(void *)records[3].data.bytes);
    assert((sh_load_rlx(&ticket.holders) & bit) != 0); /* relaxed: joined */
    assert((sh_load_rlx(&ticket.users) & bit) != 0);   /* relaxed: joined */
    assert(value_gone == 0);
    return 0;
}
