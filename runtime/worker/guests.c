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
 *   accepted task/handle.c
 *   active   worker/standin.c
 *   quiet    future/settle.c
 *
 * Crash. They are of the host, whose death ends the pool.
 */
#include "future/timer.h"
#include "task/profile.h"
#include "worker/worker.h"

/* There are none: what waits for them fails, and what comes goes elsewhere, if
 * it can. */
static void fail_all(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);
    struct sh_work work = { 0 };

    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);
        uint64_t w = sh_load_sc(&r->state); /* seq_cst: accepted, guests */

        if (sh_phase_of(w) == SH_READY && sh_is_for_host(r) &&
            sh_settle_begin(r, w, sh_outcome_from(SHUNT_ENOMEM)))
            sh_work_settle(&work, pool, r);
        sh_work_do(&work);
    }
}

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
            sh_store_sc(&pool->active, first + n); /* seq_cst: active, quiet */
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
    /* None: the next that is queued has it tried again. */
    sh_store_sc(&pool->guests,
                n > 0 ? SH_GUESTS_HERE : SH_GUESTS_NONE); /* seq_cst: guests */
    /* relaxed: seen in time */
    sh_store_rlx(&pool->no_guests, n == 0);
    if (n == 0)
        fail_all(pool);
    sh_quiet_notify(pool);
}
