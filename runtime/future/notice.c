/* SPDX-License-Identifier: MIT */
/*
 * future/notice.c - telling threads outside that the pool has changed: a task
 * has left the queue, or something has ended that a shutdown waits for.
 *
 * Edges.
 *   quiet    future/settle.c
 *   room     future/submit.c
 */
#include "future/settle.h"
#include "sync/futex.h"

void sh_quiet_ring(struct sh_pool *pool)
{
    sh_add_sc(&pool->quiet, 1);                /* seq_cst: quiet */
    if (sh_load_sc(&pool->quiet_waiters) != 0) /* seq_cst: quiet */
        sh_futex_wake(&pool->quiet, INT32_MAX, pool->shared);
}

void sh_room_ring(struct sh_pool *pool)
{
    if (SH_LIKELY(sh_load_sc(&pool->room_waiters) == 0)) /* seq_cst: room */
        return;
    sh_add_sc(&pool->room, 1); /* seq_cst: room */
    sh_futex_wake(&pool->room, INT32_MAX, pool->shared);
    sh_here.woke = true;
}
