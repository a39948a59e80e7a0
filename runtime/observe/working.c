/* SPDX-License-Identifier: MIT */
/*
 * observe/working.c - what a worker is doing at this moment: see working.h.
 *
 * A worker notes the record whose code it begins to run, and leaves that note
 * when the code has ended: so the record is asked, too. Of code that was given
 * up, which runs on though the record has settled, it says BUSY.
 *
 * Edges.
 *   claim    worker/run.c: write RUNNING -> here: read the state
 */
#include "observe/working.h"

#include "future/settle.h"
#include "worker/worker.h"

bool sh_working_on(struct sh_pool *pool, uint32_t index, uint64_t word)
{
    unsigned w = sh_owner_of(word) - SH_OWNER_WORKER(0);

    return sh_phase_of(word) == SH_RUNNING && w < sh_pool_active(pool) &&
           /* relaxed: for a report */
           sh_load_rlx(&pool->posts[w].running) ==
               sh_hint(index, sh_generation_of(word));
}

struct sh_working sh_working_look(struct sh_pool *pool, unsigned w)
{
    struct sh_working now = { SHUNT_BETWEEN, SH_NONE };
    uint64_t hint = sh_load_rlx(&pool->posts[w].running); /* relaxed: for a
                                                           * report */
    uint32_t index = sh_hint_index(hint);
    uint64_t word;

    if (sh_post_rests(&pool->posts[w]))
        now.doing = SHUNT_RESTS;
    else if (sh_sleep_is_idle(&sh_camp_at(pool, w)->sleep, w))
        now.doing = SHUNT_SLEEPS;
    else if (sh_sleep_is_searching(&sh_camp_at(pool, w)->sleep, w))
        now.doing = SHUNT_SEARCHES;
    if (now.doing != SHUNT_BETWEEN || index == SH_NONE)
        return now;
    word = sh_load_acq(&sh_record_at(pool, index)->state); /* acquire: claim */
    if (sh_generation_of(word) == sh_hint_generation(hint) &&
        (sh_phase_of(word) == SH_RUNNING || (word & SH_BUSY) != 0)) {
        now.doing = SHUNT_RUNS;
        now.index = index;
    }
    return now;
}
