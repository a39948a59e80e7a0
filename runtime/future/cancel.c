/* SPDX-License-Identifier: MIT */
/*
 * future/cancel.c - asking a future to be given up, whatever it is at.
 *
 * Idea. What has not started settles as cancelled, what runs is told. Only a
 * finally that waits stays, since it runs whatever happens: the request goes
 * on to what it waits for.
 *
 * Edges.
 *   accepted task/handle.c
 *   registry task/registry.c
 *   settled  future/settle.c
 *   park     worker/await.c
 *   watch    future/settle.c
 *   quiet    future/settle.c
 */
#include "future/settle.h"

/* A delay that nobody depends on ends in one step. False if it is none, or not
 * as simple as that. */
static bool end_delay(struct sh_pool *pool, struct sh_record *r, uint64_t w)
{
    const uint64_t odd = SH_WATCHED | SH_ORPHAN | SH_STAYS;

    if (sh_load_acq(&r->kind) != SH_KIND_DELAY || /* acquire: accepted */
        sh_phase_of(w) != SH_WAIT || (w & odd) != 0)
        return false;
    /* seq_cst: settled, watch, quiet */
    if (!sh_cas_sc(
            &r->state, &w,
            sh_word_settled(w, SH_DONE, 0, sh_outcome_from(SHUNT_ECANCELED))))
        return false;
    sh_quiet_notify(pool);
    return true;
}

bool sh_cancel_plain(uint64_t handle)
{
    /* acquire: registry */
    struct sh_pool *pool =
        sh_load_acq(&sh_self()->pools[sh_handle_pool(handle)]);
    struct sh_record *r;
    uint64_t w;

    if (pool == NULL || !sh_pool_is_ours(pool) ||
        sh_handle_index(handle) >= pool->records.capacity)
        return false;
    r = sh_record_at(pool, sh_handle_index(handle));
    w = sh_load_acq(&r->state); /* acquire: settled */
    return sh_handle_fits(handle, w) && end_delay(pool, r, w);
}

/* Ask one record. What waits to run whatever happens is not settled: *next_out
 * is then the handle of what it waits for. */
static int ask(struct sh_work *work, struct sh_pool *pool, struct sh_record *r,
               uint32_t generation, uint64_t *next_out)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */

    for (;;) {
        enum sh_phase phase = sh_phase_of(w);
        unsigned owner = sh_owner_of(w);

        if (sh_generation_of(w) != generation || phase > SH_PARKED ||
            phase < SH_PROMISE)
            return 0;
        if (phase == SH_PROMISE) {
            enum sh_told told = sh_promise_tell(work, pool, r, w);

            if (told == SH_TOLD)
                return 1;
            if (told == SH_TOLD_STALE) {
                w = sh_load_acq(&r->state); /* acquire: settled */
                continue;
            }
        }
        if ((w & SH_COMMITTED) != 0)
            return 0;
        if (phase == SH_RUNNING || phase == SH_PARKED) {
            /* acq_rel: park, settled */
            if (!sh_cas_acqrel(&r->state, &w,
                               sh_word_to(w, SH_RUNNING, owner) | SH_CANCEL))
                continue;
            sh_heed_tell(work, pool, r, w);
            if (phase == SH_PARKED)
                sh_resume(pool, r, owner);
            return 1;
        }
        if (sh_load_acq(&r->kind) == SH_KIND_FINALLY) { /* acquire: accepted */
            /* relaxed: what it says is looked up, and may be out of date */
            *next_out = phase == SH_WAIT ? sh_load_rlx(&r->input) : 0;
            return 1;
        }
        if (end_delay(pool, r, w))
            return 1;
        if (sh_settle_begin(r, w, sh_outcome_from(SHUNT_ECANCELED))) {
            sh_work_settle(work, pool, r);
            return 1;
        }
        w = sh_load_acq(&r->state); /* acquire: settled */
    }
}

int sh_cancel_ask(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r, uint32_t generation)
{
    uint64_t next = 0;
    unsigned inside = 0;
    int rc = ask(work, pool, r, generation, &next);

    if (next == 0)
        return rc;
    while (next != 0 && sh_pool_enter(sh_handle_pool(next))) {
        struct sh_ref ref;

        sh_pool_exit(inside);
        inside = sh_handle_pool(next);
        /* Others who want it keep it. */
        if (sh_handle_find(next, SH_LOOK, &ref) != 0 || ref.record == NULL ||
            !sh_handle_is_sole(&ref))
            break;
        next = 0;
        (void)ask(work, ref.pool, ref.record, sh_generation_of(ref.word),
                  &next);
    }
    sh_pool_exit(inside);
    return rc;
}
