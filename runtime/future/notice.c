/* SPDX-License-Identifier: MIT */
/*
 * future/notice.c - telling threads outside that the pool has changed: a task
 * has left the queue, or something has ended that a shutdown waits for; or the
 * timekeeper that the pool needs its threads.
 *
 * Edges.
 *   quiet    future/settle.c
 *   room     future/submit.c
 *   alarm    future/timer.c
 *   keeper   future/timer.c
 *   untold   queue, then read untold || worker/timekeeper.c: clear untold, then
 *            look at the queues; all seq_cst: one sees the other
 *   guests   queue, then read guests, write WANTED, ring || worker/guests.c:
 *            read WANTED, start threads, which look before they sleep; all
 *            seq_cst
 *            if none can be had: write NONE, read the queues, then the states,
 *            as in closing: who read guests before has queued what is seen
 *
 * Crash. Who dies between a word and the ring that follows it has it rung by who
 * recovers what he left (process/mend.c).
 */
#include "future/settle.h"
#include "future/timer.h"
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

void sh_guests_call(struct sh_pool *pool)
{
    uint32_t none = SH_GUESTS_NONE;

    if (sh_load_sc(&pool->guests) == SH_GUESTS_NONE && /* seq_cst: guests */
        sh_cas_sc(&pool->guests, &none,
                  SH_GUESTS_WANTED)) /* seq_cst: guests, alarm */
        sh_time_ring_idle(pool);
}

void sh_camp_leave_untold(struct sh_pool *pool, struct sh_camp *camp)
{
    struct sh_time *time = &pool->time;

    /* acquire: keeper */
    if (sh_load_acq(&time->keeper) != SH_KEEPER_RUNS || time->manual) {
        sh_camp_notify(pool, camp);
        return;
    }
    if (sh_load_sc(&time->untold) != 0) /* seq_cst: untold */
        return;
    sh_store_sc(&time->untold, 1); /* seq_cst: untold, alarm */
    sh_time_ring_idle(pool);
}
