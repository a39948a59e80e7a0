/* SPDX-License-Identifier: MIT */
/*
 * future/cancel.c - asking a future to be given up, whatever it is at.
 *
 * Edges.
 *   settled  future/settle.c
 *   park     worker/await.c
 */
#include "future/settle.h"

int sh_cancel_ask(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r, uint32_t generation)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */

    for (;;) {
        enum sh_phase phase = sh_phase_of(w);
        unsigned owner = sh_owner_of(w);

        if (sh_generation_of(w) != generation || phase > SH_PARKED ||
            phase < SH_PROMISE)
            return 0;
        if (phase == SH_PROMISE) {
            int told = sh_promise_tell(r, w);

            if (told >= 0)
                return told;
            if (told == -2) {
                w = sh_load_acq(&r->state); /* acquire: settled */
                continue;
            }
        }
        if (phase == SH_RUNNING || phase == SH_PARKED) {
            /* acq_rel: park, settled */
            if (!sh_cas_acqrel(&r->state, &w,
                               sh_word_to(w, SH_RUNNING, owner) | SH_CANCEL))
                continue;
            if (phase == SH_PARKED)
                sh_resume(pool, r, owner);
            return 1;
        }
        if (sh_settle_begin(r, w, sh_outcome_from(SHUNT_ECANCELED))) {
            sh_work_settle(work, pool, r);
            return 1;
        }
        w = sh_load_acq(&r->state); /* acquire: settled */
    }
}
