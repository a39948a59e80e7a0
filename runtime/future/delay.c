/* SPDX-License-Identifier: MIT */
/*
 * future/delay.c - a future that succeeds when its time has come.
 *
 * A delay is a record that waits for nobody but its timer. One without end has
 * no timer: only a cancel ends it, or a shutdown, as it ends a promise.
 *
 * Edges.
 *   accepted future/submit.c
 *   closing  future/submit.c
 *   due      future/timer.c
 *
 * Crash. As of any record that waits, and of its timer: future/timer.c.
 */
#include "future/timer.h"
#include "task/data.h"

/* A record in INIT that has its timer, if it needs one; NULL: no memory. */
static struct sh_record *delay_new(struct sh_pool *pool, struct sh_seat *seat,
                                   int64_t ns, const char *where)
{
    struct sh_record *r = sh_record_new(pool, seat, SH_KIND_DELAY, NULL, where);
    uint64_t w;

    if (r == NULL)
        return NULL;
    w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    if (ns > 0)
        sh_record_bind(r)->deadline_ns = sh_pool_after(pool, ns);
    if (ns <= 0 || sh_bound_of(r)->deadline_ns == INT64_MAX ||
        sh_bound_set(pool, r, w))
        return r;
    sh_record_retire(pool, seat, r, w);
    return NULL;
}

/* From now on it can end, and the pool's end ends it. */
static void accept(struct sh_pool *pool, struct sh_record *r, uint64_t w)
{
    struct sh_work work = { 0 };
    bool ends = sh_bound_of(r)->deadline_ns != INT64_MAX;

    w = sh_word_to(w, SH_WAIT, 0);
    sh_store_sc(&r->state, w); /* seq_cst: accepted, closing, due */
    if (SH_UNLIKELY(sh_load_sc(&pool->gate) == SH_STOPPED) && /* seq_cst:
                                                               * closing */
        sh_settle_begin(r, w, sh_outcome_from(SHUNT_ECLOSED)))
        sh_work_settle(&work, pool, r);
    if (ends)
        sh_bound_accepted(&work, pool, r, w);
    sh_work_do(&work);
}

shunt_future *shunt_delay_here(shunt_pool *name, int64_t ns, const char *where)
{
    struct sh_pool *pool;
    struct sh_seat *seat;
    struct sh_record *r;
    uint64_t w, handle;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return sh_handle_failed(0, rc);
    seat = sh_seat_of(pool);
    if (seat == NULL)
        return sh_handle_failed(pool->id, SHUNT_ENOMEM);
    if (!sh_pool_takes(pool, seat))
        return sh_handle_failed(pool->id, SHUNT_ECLOSED);
    r = delay_new(pool, seat, ns, where);
    if (r == NULL)
        return sh_handle_failed(pool->id, SHUNT_ENOMEM);
    w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    handle =
        sh_handle_make(pool->id, sh_index_of(pool, r), sh_generation_of(w));
    if (sh_here.run != NULL)
        sh_run_note(sh_here.run, handle); /* before it can end */
    if (ns > 0)
        accept(pool, r, w);
    else
        sh_store_rel(&r->state, sh_word_to(w, SH_DONE, 0)); /* release:
                                                             * accepted */
    return sh_handle_future(handle);
}
