/* SPDX-License-Identifier: MIT */
/*
 * future/heed.c - a future that tells a task that it was asked to cancel.
 *
 *     task T, runs ----edge, bit HEED----> C, waits
 *
 * Idea. C hangs on the record of its task as a dependant does, so the end of
 * the task settles it. Whoever asks T to cancel looks through its edges for
 * that one and brings the arrival early. He may have no handle of T: so C says
 * whose it is, and nothing is delivered to what belongs to another. A scope of
 * T hangs there in the same way.
 *
 * Edges.
 *   watch    future/settle.c: here WATCHED is set again, by a read-modify-write
 *            of the word in which CANCEL is set: one sees the other
 *   accept   future/deliver.c
 *   hang     future/edge.c
 *   list     future/edge.c
 *   claim    worker/run.c
 *
 * Crash. As of any record that waits, and of any edge.
 */
#include "future/settle.h"
#include "task/data.h"

/* The name of a record in the word of what heeds it. */
static uint64_t name_of(struct sh_pool *pool, uint32_t index,
                        uint32_t generation)
{
    return sh_handle_make(pool->id, index, generation);
}

/* Bring an arrival to what heeds a record, seen with word. */
static void tell(struct sh_work *work, struct sh_pool *pool,
                 struct sh_record *r, uint64_t word, int status)
{
    uint32_t generation = sh_generation_of(word);
    uint64_t name = name_of(pool, sh_index_of(pool, r), generation);
    uint32_t i = sh_load_acq(&r->edges);      /* acquire: list */
    uint64_t target = sh_load_acq(&r->edge0); /* acquire: hang */

    if ((word & SH_WATCHED) == 0)
        return;
    for (i &= ~SH_EDGES_CLOSED;;) {
        struct sh_edge *e = sh_edge_at(pool, i);
        uint64_t w;

        if (sh_is_heed(target) &&
            /* acquire: accept */
            sh_load_acq(&sh_record_at(pool, sh_target_index(target))->input) ==
                name)
            sh_deliver_to(work, pool, target, status);
        w = sh_load_acq(&r->state); /* acquire: claim */
        /* If it has ended, so has C; and its edges may be another's. */
        if (i == SH_NONE || sh_generation_of(w) != generation ||
            sh_phase_of(w) > SH_PARKED)
            return;
        target = sh_load_acq(&e->target); /* acquire: hang */
        i = sh_load_rlx(&e->next); /* relaxed: never changes in the list */
    }
}

void sh_heed_tell(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r, uint64_t word)
{
    tell(work, pool, r, word, SHUNT_ECANCELED);
}

void sh_heed_end(struct sh_work *work, struct sh_pool *pool,
                 struct sh_record *r, uint64_t word)
{
    tell(work, pool, r, word, 0);
}

uint64_t sh_heed_name(const struct sh_run *run)
{
    return name_of(run->pool, run->index, run->generation);
}

uint64_t sh_heed_target(struct sh_pool *pool, struct sh_record *c)
{
    /* relaxed: ours, or held by us */
    return sh_target(SH_TARGET_RECORD, sh_index_of(pool, c), SH_BIT_HEED,
                     (uint32_t)(sh_load_rlx(&c->deps) >> 32));
}

bool sh_heed_hang(struct sh_work *work, struct sh_run *run, struct sh_record *c,
                  sh_hook *hook_out)
{
    uint64_t target = sh_heed_target(run->pool, c);
    enum sh_attached how = sh_edge_attach(run->pool, run->record,
                                          run->generation, target, hook_out);
    uint64_t its;

    if (how == SH_ATTACH_NOMEM)
        return false;
    its = sh_or_sc(&run->record->state, SH_WATCHED); /* seq_cst: watch */
    if (how == SH_ATTACH_SETTLED || (its & (SH_CANCEL | SH_BUSY)) != 0)
        sh_deliver_to(work, run->pool, target, SHUNT_ECANCELED);
    return true;
}

/* Hang a record in INIT on the one of the running task, and let it wait. */
static bool hang(struct sh_run *run, struct sh_record *c)
{
    struct sh_work work = { 0 };
    uint64_t w = sh_load_rlx(&c->state); /* relaxed: ours in INIT */
    sh_hook hook;
    bool hung;

    sh_store_rlx(&c->input, sh_heed_name(run)); /* relaxed: published with
                                                 * WAIT */
    sh_store_sc(&c->state, sh_word_to(w, SH_WAIT, 0)); /* seq_cst: accept */
    hung = sh_heed_hang(&work, run, c, &hook);
    sh_work_do(&work);
    return hung;
}

/* The handle of the running task's future for this, which the run holds; 0: no
 * memory. */
static uint64_t heed(struct sh_run *run)
{
    struct sh_seat *seat = sh_seat_of(run->pool);
    struct sh_record *c;
    uint64_t w;

    if (run->heed != 0 || seat == NULL)
        return run->heed;
    c = sh_record_new(run->pool, seat, SH_KIND_HEED, NULL, NULL);
    if (c == NULL)
        return 0;
    w = sh_load_rlx(&c->state); /* relaxed: ours in INIT */
    run->heed = sh_handle_make(run->pool->id, sh_index_of(run->pool, c),
                               sh_generation_of(w));
    if (!hang(run, c)) {
        /* Nobody else has a name of it. */
        struct sh_work work = { 0 };

        if (sh_settle_begin(c, sh_load_rlx(&c->state), /* relaxed: ours */
                            sh_outcome_from(SHUNT_ENOMEM)))
            sh_work_settle(&work, run->pool, c);
        sh_work_give(&work, run->heed);
        sh_work_do(&work);
        run->heed = 0;
    }
    return run->heed;
}

shunt_future *shunt_cancel_future(void)
{
    struct sh_run *run = sh_here.run;
    uint64_t handle;

    if (run == NULL)
        return sh_handle_failed(0, sh_no_task());
    handle = heed(run);
    handle = handle == 0 ? 0
                         : sh_handle_of(shunt_retain(sh_handle_future(handle)));
    return handle == 0 ? sh_handle_failed(run->pool->id, SHUNT_ENOMEM)
                       : sh_handle_future(handle);
}
