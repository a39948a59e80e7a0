/* SPDX-License-Identifier: MIT */
/*
 * future/unseen.c - failures that nobody has looked at.
 *
 *     C -> B -> A      A failed, B and C pass it on: whoever looks at any of
 *                      them has looked at A, and A is the one that is reported
 *
 * Idea. A failure belongs to the record where it began, and is reported when
 * that is freed, which is when nobody can come to it any more by any way.
 * Whether somebody has looked is a bit of the record's arrivals word. That word
 * has no other use when the record has settled, but for code that was given up,
 * which leaves the bit as it is; it is there as long as the pool, so that a
 * handle which is given back meanwhile does no harm; and its generation keeps a
 * late look from a later use. So only failures pay.
 *
 * A task that fails as another future did has looked at that one, and hands
 * its failure on as its own: the bit is cleared again. What was looked at
 * before, by others, then counts for nothing, since this task's future is
 * another, and its holder may have never looked.
 *
 * Edges.
 *   accepted task/data.c: write deps of a later use -> here: read deps
 *   settled  future/settle.c
 *
 * Crash. The bit says less than it should: what was looked at is reported.
 */
#include "future/settle.h"
#include "task/error.h"

static const uint64_t seen_bit = (uint64_t)1 << SH_BIT_SEEN;

static void mark(const struct sh_ref *ref, bool seen)
{
    _Atomic uint64_t *deps = &ref->record->deps;
    uint64_t old = sh_load_acq(deps); /* acquire: accepted */
    uint64_t next;

    do {
        /* Read after deps: if the record is of that use still, so was deps.
         * acquire: settled */
        if (sh_generation_of(sh_load_acq(&ref->record->state)) !=
            sh_generation_of(ref->word))
            return;
        next = seen ? old | seen_bit : old & ~seen_bit;
        /* Code that was given up may begin another wait meanwhile. */
    } while (next != old &&
             !sh_cas_acq(deps, &old, next)); /* acquire: accepted */
}

static bool has_failed(const struct sh_ref *ref)
{
    return ref->record != NULL && sh_is_settled(ref->word) &&
           sh_outcome_of(ref->word) != 0;
}

void sh_mark_seen(uint64_t handle, bool seen)
{
    struct sh_ref origin;

    if (handle == 0 || !sh_enter_origin(handle, &origin))
        return;
    if (has_failed(&origin))
        mark(&origin, seen);
    sh_leave_origin(&origin);
}

int sh_ref_tell(const struct sh_ref *ref)
{
    int status = sh_ref_status(ref);

    if (!has_failed(ref) || status == 0)
        return status;
    if (sh_outcome_of(ref->word) != SH_OUTCOME_FORWARD)
        mark(ref, true);
    else
        /* relaxed: as state */
        sh_mark_seen(sh_load_rlx(&ref->record->input), true);
    return status;
}

/* Whether a failure is of a kind that is worth a report. */
static bool is_news(struct sh_record *r, uint64_t word)
{
    unsigned outcome = sh_outcome_of(word);
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours by now */

    if (outcome == 0 || outcome == SH_OUTCOME_FORWARD ||
        outcome == sh_outcome_from(SHUNT_ECANCELED) || (word & SH_CANCEL) != 0)
        return false;
    /* Else than a promise, only a shutdown says so. */
    return outcome != sh_outcome_from(SHUNT_ECLOSED) || kind == SH_KIND_PROMISE;
}

struct report {
    const struct sh_pool *pool;
    const shunt_error *error;
};

static void call(void *arg)
{
    const struct report *report = arg;

    report->pool->unobserved(report->error, report->pool->unobserved_arg);
}

bool sh_report_unseen(struct sh_pool *pool, struct sh_record *r, uint64_t word)
{
    const shunt_error *error;
    shunt_error near;

    /* relaxed: who looked has let go of it before. Of a pool that was left to
     * code which was given up the user takes no more calls: relaxed as well,
     * an identity. */
    if (!is_news(r, word) || (sh_load_rlx(&r->deps) & seen_bit) != 0 ||
        sh_load_rlx(&pool->process) == 0 ||
        pool->unobserved == shunt_unobserved_ignore)
        return true;
    error = sh_error_find(r, sh_outcome_of(word));
    if (sh_error_is_constant(error))
        return true;
    if (pool == sh_self()->served)
        return false;
    (void)sh_error_tell(error);
    if (sh_error_has_far_causes(error)) {
        near = *error;
        near.cause_count = 0;
        near.causes = NULL;
        error = &near;
    }
    sh_call_hook(pool->id, call, &(struct report){ pool, error });
    return true;
}
