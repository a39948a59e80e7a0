/* SPDX-License-Identifier: MIT */
/*
 * future/reason.c - what is said of a failure that is not that of a function:
 * what was too late, cancelled, or refused since the pool is broken.
 */
#include "future/settle.h"
#include "task/blame.h"
#include "task/error.h"

/* Of a future that was not there in time: whose task that is. */
static void name_the_slow(const struct sh_record *r, struct sh_failure *f)
{
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: ours in SETTLING */
    struct sh_ref ref;

    f->text = "not settled in time";
    if (sh_handle_find(input, SH_LOOK, &ref) == 0 && ref.record != NULL &&
        ref.record->task != NULL)
        f->task = sh_task_name(ref.record);
}

void sh_attach_reason(struct sh_pool *pool, struct sh_record *r, unsigned kind,
                      unsigned outcome)
{
    char text[SH_BLAME_BYTES];
    struct sh_failure f = { .code = sh_outcome_code(outcome),
                            .attempts = (kind & SH_KIND_FLAT) != 0 };
    unsigned id = sh_handle_pool(sh_load_rlx(&r->input)); /* relaxed: ours */
    bool late = outcome == sh_outcome_from(SHUNT_ETIMEDOUT);

    if (outcome == 0 || outcome == SH_OUTCOME_FORWARD ||
        !sh_error_is_constant(sh_error_find(r, outcome)))
        return; /* or it has one: who has failed it has said why */
    if (late && kind == SH_KIND_FORWARD && sh_pool_enter(id)) {
        name_the_slow(r, &f);
        sh_error_attach(pool, r, &f);
        sh_pool_exit(id);
        return;
    }
    if (late && sh_kind_is_task(kind))
        f.text = "the deadline passed before it started";
    if (outcome == sh_outcome_from(SHUNT_EBROKEN))
        f.text = sh_blame_put(pool, text);
    if ((r->task != NULL && (kind & ~SH_KIND_FLAT) <= SH_KIND_FINALLY) ||
        (kind & ~SH_KIND_FLAT) == SH_KIND_TRY ||
        (kind == SH_KIND_PROMISE &&
         outcome == sh_outcome_from(SHUNT_ECANCELED)))
        sh_error_attach(pool, r, &f);
}
