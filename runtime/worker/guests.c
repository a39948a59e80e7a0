/* SPDX-License-Identifier: MIT */
/*
 * worker/guests.c - the threads of an auto pool, beside its processes.
 *
 * Idea. They are workers like those of a thread pool, in a camp of their own,
 * but what they run lies in memory that is shared. Most programs have nothing
 * that would gain by running in the host, and never have them: the timekeeper
 * starts them when something is queued for them first, in its own time, and
 * whoever queued it does not wait for that. Their stacks are the host's own,
 * as that of the worker at home (home.c), so that a task may fork.
 *
 * Edges.
 *   guests   future/notice.c
 *   active   worker/standin.c
 *   quiet    future/settle.c
 *
 * Crash. They are of the host, whose death ends the pool.
 */
#include "future/timer.h"
#include "worker/worker.h"

/* How many could be started. */
static unsigned start(struct sh_pool *pool)
{
    unsigned first = pool->camps[SH_HOST_CAMP].first, n = 0;

    /* Before they run, since they are looked for from then on. */
    for (; n < pool->workers; n++) {
        sh_post_open(pool, first + n);
        if (sh_worker_start(pool, first + n) != 0) {
            sh_post_close(&pool->posts[first + n]);
            /* Whoever stands in is the next one. */
            /* seq_cst: active, quiet */
            sh_store_sc(&pool->active_guests, first + n);
            break;
        }
    }
    return n;
}

void sh_guests_start(struct sh_pool *pool)
{
    unsigned n;

    if (sh_load_sc(&pool->guests) != SH_GUESTS_WANTED) /* seq_cst: guests */
        return;
    n = start(pool);
    pool->team->started = n;
    /* None: what waits for them fails, what comes goes elsewhere if it can, and
     * the next that cannot has it tried again. */
    sh_store_sc(&pool->guests,
                n > 0 ? SH_GUESTS_HERE : SH_GUESTS_NONE); /* seq_cst: guests */
    /* relaxed: seen in time */
    sh_store_rlx(&pool->no_guests, n == 0);
    if (n == 0) {
        /* Of a task that was queued while they were wanted, nothing else says
         * that it is READY. */
        sh_see_queues(pool);
        sh_home_fail_all(pool);
    }
    sh_quiet_notify(pool);
}
