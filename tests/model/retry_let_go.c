/* SPDX-License-Identifier: MIT */
/*
 * retry_let_go.c - a retry and two attempts, all over, let go of their ticket at
 * once.
 *
 * Edges: parting (task/ticket.h). The first two are worker processes, which say
 * in their posts that they are at it; the third is a thread of the host. With
 * -DDEAD=n the first process has died at it, after so many steps, and the host
 * repairs that while the others let go. One of them frees the ticket, and nobody
 * looks at it afterwards; no post says any more that somebody is at it.
 */
#define POSTS 2
#include "ticket_client.h"

#ifdef DEAD
/* Its record has been looked at: what it named it names no more. */
static void *repairs(void *unused)
{
    (void)unused;
    if (DEAD == 0)
        sh_ticket_let_go(&pool, &records[1]);
    sh_ticket_mend(&pool, &many_posts[0]);
    return NULL;
}

static void die(void)
{
    sh_store_sc(&many_posts[0].ticket, (uintptr_t)&ticket); /* seq_cst: parting
                                                             */
    if (DEAD >= 1)
        *(uint64_t *)(void *)records[1].data.bytes = 0;
    if (DEAD >= 2)
        (void)take_out(&ticket, 1);
}
#endif

static void *goes(void *record)
{
    use_value();
    sh_ticket_let_go(&pool, &records[(uintptr_t)record]);
    return NULL;
}

int main(void)
{
    pthread_t threads[3];

    make_pool_with_queues();
    pool.shared = true;
    pool.posts = many_posts;
    pool.camps[0].spare = POSTS;
    pool.camps[0].end = POSTS;
    sh_store_rlx(&pool.active, POSTS); /* relaxed: before the threads */
    for (uint32_t i = 1; i <= 3; i++)
        make_holder(i, SH_RELEASING, i == 1 ? SH_KIND_RETRY : SH_KIND_TRY);
    value = 42;
#ifdef DEAD
    die();
    threads[0] = thread_start(repairs, NULL);
#else
    threads[0] = thread_start(goes, (void *)1);
#endif
    for (uintptr_t i = 1; i < 3; i++)
        threads[i] = thread_start(goes, (void *)(i + 1));
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    assert(value_gone == 1);
    for (int i = 0; i < POSTS; i++)
        assert(sh_load_rlx(&many_posts[i].ticket) == 0); /* relaxed: joined */
    return 0;
}
