/* SPDX-License-Identifier: MIT */
/*
 * worker/passing.c - of an auto pool: a task that must not begin in the camp
 * that has come upon it passes to the other.
 *
 *     process   a task that no process has                -> the host, which
 *                                                            refuses it
 *     thread    a task whose kind has crashed meanwhile   -> a process
 *
 * Idea. Where a task runs is said when it is made. Between that and its claim
 * the pool may learn better; then who comes upon it claims it, changes what it
 * says, and makes it ready anew. What the caller has placed (.place) stays. A
 * task that was made for a thread has no room to count crashes, so it is not run
 * again after one in the process that it passes to.
 * A task that no process has is refused by the host unless it is .host_only, as
 * in a process pool (worker/home.c).
 *
 * Edges.
 *   claim    worker/run.c
 *   accepted task/handle.c
 *   death    process/recover.c
 *   profile  task/profile.h
 *   settled  future/settle.c
 *
 * Crash. Who dies in between has claimed and not begun it: it is put back, and
 * found in the table (process/recover.c).
 */
#include "future/combine.h"
#include "future/retry.h"
#include "future/value.h"
#include "task/profile.h"
#include "worker/worker.h"

/* Give back what was claimed, for the other camp. */
static void put_back(struct sh_worker *w, struct sh_record *r, uint64_t word)
{
    struct sh_pool *pool = w->pool;
    struct sh_work work = { 0 };
    uint64_t input;

    while (sh_phase_of(word) == SH_RUNNING)
        /* seq_cst: accepted. Flags may be set meanwhile. */
        if (sh_cas_sc(&r->state, &word, sh_word_to(word, SH_READY, 0))) {
            sh_make_ready(&work, pool, r, sh_word_to(word, SH_READY, 0));
            sh_work_do(&work);
            return;
        }
    /* It was given up meanwhile. */
    input = sh_load_rlx(&r->input); /* relaxed: ours until it has returned */
    sh_input_drop(&work, pool, r, sh_load_rlx(&r->kind)); /* relaxed: as word */
    sh_store_rlx(&r->input, 0); /* relaxed: it has settled */
    sh_settle_returned(&work, pool, r);
    sh_work_give(&work, input);
    sh_work_do(&work);
}

static SH_COLD void pass(struct sh_worker *w, struct sh_record *r,
                         uint64_t word, uint64_t hint, unsigned placed)
{
    uint64_t running;

    /* Before the claim, as in care.c. release: claim, death */
    if (w->pool == sh_self()->served)
        sh_store_rel(&w->post->claiming, hint);
    do {
        if (sh_phase_of(word) != SH_READY ||
            sh_generation_of(word) != sh_hint_generation(hint))
            return;
        running = sh_word_to(word & ~SH_OUTSIDE, SH_RUNNING,
                             SH_OWNER_WORKER(w->index));
    } while (!sh_cas_acqrel(&r->state, &word, running)); /* acq_rel: claim */
    /* Of this camp it was. */
    if ((word & SH_OUTSIDE) != 0)
        sh_worker_took(w);
    sh_place_at(r, placed);
    put_back(w, r, running);
}

bool sh_passing_takes(struct sh_worker *w, struct sh_record *r, uint64_t word,
                      uint64_t hint)
{
    bool host = sh_is_of_host_camp(w);
    const shunt_task *task = sh_task_seen(r);

    if (task == NULL || sh_load_rlx(&r->kind) == SH_KIND_DEAL) /* relaxed: as
                                                                * word */
        return true;
    if (task != w->fits && sh_home_is_late(w->pool, task)) {
        if (!host) {
            pass(w, r, word, hint, SH_FOR_HOST);
            return false;
        }
        if (!task->traits_.host_only) {
            sh_home_refuse(w->pool, r, word);
            return false;
        }
    }
    if (!host)
        return true;
    w->fits = task;
    if (SH_LIKELY((sh_placed(r) & SH_PLACED) == SH_SAID_HOST ||
                  task->traits_.host_only ||
                  !sh_profile_is_banned(w->pool, task)))
        return true;
    pass(w, r, word, hint, 0);
    return false;
}
