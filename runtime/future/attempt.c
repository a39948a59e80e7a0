/* SPDX-License-Identifier: MIT */
/*
 * future/attempt.c - one attempt of a retry: from its submit to the moment when
 * its code does not run any more.
 *
 * Idea. An attempt runs as a task of its own does, but its input is in the
 * ticket of its retry (task/ticket.h), of which it is a user from before it can
 * run until its function has returned, or will never be called. The record of
 * the retry is BUSY until there is no user: so it can be looked at by every
 * attempt, and the memory of the task that asked for the retry outlives all of
 * them, also when the retry has settled (keep.c).
 *
 * Edges.
 *   death    process/recover.c
 *   leave    task/ticket.c
 *   claim    worker/run.c
 *   settled  future/settle.c
 *
 * Crash. To leave can be done again, and the ticket says who has claimed to
 * drop: if that one dies before the end of BUSY, recovery ends it.
 */
#include "future/combine.h"
#include "future/retry.h"
#include "future/submit.h"

int sh_retry_attempt(struct sh_pool *pool, struct sh_record *r,
                     struct sh_ref *ref_out)
{
    struct sh_ticket *t = sh_ticket_of(r);
    int64_t deadline_ns = sh_is_bound(r) ? sh_bound_of(r)->deadline_ns
                                         : INT64_MAX;
    int64_t its = t->options.attempt_ns == 0
                      ? INT64_MAX
                      : sh_pool_after(pool, t->options.attempt_ns);

    /* Not one more than before: who died at this has made none.
     * relaxed: only we write it; release: death */
    sh_store_rel(&t->made, sh_load_rlx(&t->ended) + 1);
    return sh_submit_attempt(pool, r, its < deadline_ns ? its : deadline_ns,
                             ref_out);
}

/* Nobody runs with the input any more: whether we are the one to drop it, and
 * have. Marked first: who dies at it has called the hook, or never will. */
static bool drop_input(struct sh_pool *pool, struct sh_ticket *t,
                       const shunt_task *task)
{
    uint32_t none = 0;

    /* acq_rel: leave */
    if (!sh_cas_acqrel(&t->dropped, &none, sh_owner_here()))
        return false;
    if (task->traits_.drop != NULL)
        sh_call_hook(pool->id, task->traits_.drop, t->in);
    return true;
}

void sh_retry_wreck(struct sh_pool *pool, struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */

    /* Of threads, whoever runs on will drop it yet. */
    if (!pool->shared || sh_phase_of(w) < SH_WAIT || (w & SH_BUSY) == 0)
        return;
    /* Who was at them may have died, and they with it: they go with the pool.
     */
    sh_ticket_of(r)->concluded = true;
    (void)drop_input(pool, sh_ticket_of(r), r->task);
}

void sh_retry_leave(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r)
{
    struct sh_ticket *t = sh_ticket_of(r);
    const shunt_task *task = r->task;
    struct sh_record *retry = sh_record_at(pool, t->retry);

    if (!sh_ticket_leave(r) || !drop_input(pool, t, task))
        return;
    sh_settle_idle(work, pool, retry, SH_BUSY);
    sh_keep_returned(work, pool);
}

/* Keep the record of a retry, seen with *word, so that it is not freed under who
 * repairs; false if no attempt's code can run any more, or it is another use. */
static bool keep(struct sh_record *r, uint64_t *word)
{
    uint32_t generation = sh_generation_of(*word);

    do {
        if (sh_generation_of(*word) != generation || (*word & SH_BUSY) == 0)
            return false;
    } while (!sh_cas_acqrel(&r->state, word, *word | SH_KEPT)); /* acq_rel:
                                                                 * settled */
    return true;
}

void sh_retry_mend(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r, uint64_t word, unsigned owner)
{
    struct sh_ticket *t;

    if (!keep(r, &word))
        return;
    t = sh_ticket_of(r);
    if (t != NULL && sh_load_acq(&t->dropped) == owner) { /* acquire: leave */
        sh_settle_idle(work, pool, r, SH_BUSY);
        sh_keep_returned(work, pool);
    }
    sh_settle_idle(work, pool, r, SH_KEPT);
}

void sh_retry_turned(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r, uint64_t word, unsigned worker)
{
    uint64_t hint = sh_hint(sh_index_of(pool, r), sh_generation_of(word));
    struct sh_ref ref;

    if (sh_phase_of(word) < SH_SETTLING || sh_pool_claims(pool, hint, worker) ||
        !keep(r, &word))
        return;
    /* Its attempt goes with the record. relaxed: a name */
    if (sh_handle_find(sh_load_rlx(&r->input), SH_LOOK, &ref) == 0 &&
        ref.record != NULL && !sh_is_settled(ref.word))
        (void)sh_cancel_ask(work, ref.pool, ref.record,
                            sh_generation_of(ref.word));
    sh_ticket_keep(sh_ticket_of(r));
    sh_retry_leave(work, pool, r);
    sh_settle_idle(work, pool, r, SH_KEPT);
}

bool sh_retry_withdraw(struct sh_pool *pool, struct sh_record *r)
{
    /* The retry is BUSY while we are a user, so this is no other. */
    struct sh_record *retry = sh_record_at(pool, sh_ticket_of(r)->retry);
    uint64_t w = sh_load_acq(&retry->state); /* acquire: claim, settled */
    struct sh_work work = { 0 };

    if ((w & SH_CANCEL) == 0 && sh_phase_of(w) < SH_SETTLING)
        return false;
    w = sh_load_acq(&r->state); /* acquire: settled */
    /* It has left the queue, and was counted as taken up then. */
    while (sh_phase_of(w) == SH_RUNNING &&
           !sh_cas_acqrel(
               &r->state, &w,
               sh_word_settled(
                   w & ~SH_OUTSIDE, SH_SETTLING, sh_owner_here(),
                   sh_outcome_from(SHUNT_ECANCELED)))) /*
                                                        * acq_rel: settled */
        continue;
    if (sh_phase_of(w) == SH_RUNNING) {
        sh_work_settle(&work, pool, r);
    } else {
        /* Settled over its code, which shall not run. */
        sh_retry_leave(&work, pool, r);
        sh_settle_returned(&work, pool, r);
    }
    sh_work_do(&work);
    return true;
}
