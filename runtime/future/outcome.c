/* SPDX-License-Identifier: MIT */
/*
 * future/outcome.c - how a future ended, its own or another's that it
 * forwards to.
 *
 * Edges.
 *   death    process/recover.c
 *   attached task/error.c
 *   settled  future/settle.c: write state -> here: read state
 */
#include "future/settle.h"

SH_HOT bool sh_find_origin(struct sh_ref *ref)
{
    while (ref->record != NULL && sh_is_settled(ref->word) &&
           sh_outcome_of(ref->word) == SH_OUTCOME_FORWARD) {
        /* relaxed: as state */
        uint64_t input = sh_load_rlx(&ref->record->input);

        if (sh_handle_find(input, SH_LOOK, ref) != 0)
            return false;
    }
    return true;
}

SH_HOT int sh_ref_status(const struct sh_ref *ref)
{
    return ref->record == NULL ? sh_reserved_status(ref->reserved)
                               : sh_status_of(ref->record, ref->word);
}

int sh_ref_status_now(const struct sh_ref *ref)
{
    struct sh_ref now = *ref;

    if (now.record != NULL)
        now.word = sh_load_acq(&now.record->state); /* acquire: settled */
    return sh_ref_status(&now);
}

bool sh_enter_origin(uint64_t handle, struct sh_ref *ref_out)
{
    unsigned inside = 0;

    while (sh_pool_enter(sh_handle_pool(handle))) {
        sh_pool_exit(inside);
        inside = sh_handle_pool(handle);
        if (sh_handle_find(handle, SH_LOOK, ref_out) != 0)
            break;
        if (ref_out->record == NULL || !sh_is_settled(ref_out->word) ||
            sh_outcome_of(ref_out->word) != SH_OUTCOME_FORWARD)
            return true;
        handle = sh_load_rlx(&ref_out->record->input); /* relaxed: as state */
    }
    sh_pool_exit(inside);
    return false;
}

void sh_leave_origin(const struct sh_ref *ref)
{
    sh_pool_exit(sh_handle_pool(ref->handle));
}

/* The status of what a settled record forwards to, however far. */
static int status_behind(uint64_t handle)
{
    struct sh_ref ref;
    int status;

    if (!sh_enter_origin(handle, &ref))
        return SHUNT_ECLOSED; /* a pool on the way was freed */
    status = sh_ref_status(&ref);
    sh_leave_origin(&ref);
    return status;
}

SH_HOT int sh_status_of(struct sh_record *r, uint64_t word)
{
    if (!sh_is_settled(word))
        return SHUNT_PENDING;
    if (sh_outcome_of(word) != SH_OUTCOME_FORWARD)
        return sh_outcome_code(sh_outcome_of(word));
    return status_behind(sh_load_rlx(&r->input)); /* relaxed: as state */
}

/* A handle of our own to what the one of ref, which forwards, forwards to; 0
 * if there is none to be had. */
static uint64_t alias_of_origin(const struct sh_ref *ref)
{
    uint64_t origin = sh_load_rlx(&ref->record->input); /* relaxed: as its
                                                         * state */
    unsigned id = sh_handle_pool(origin);
    struct sh_ref next;
    uint64_t lent = 0;

    if (!sh_pool_enter(id))
        return 0;
    if (sh_handle_find(origin, SH_LOOK, &next) == 0 && next.record != NULL)
        lent = sh_handle_alias_lent(&next);
    sh_pool_exit(id);
    return lent;
}

/* Have r name what its input, ref, forwards to. */
static void pass_over(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r, struct sh_ref *ref)
{
    uint64_t input = ref->handle;
    /* Nobody else can look at it: take its handle over. */
    bool sole = sh_handle_is_sole(ref);
    uint64_t origin = !sole ? alias_of_origin(ref)
                            /* relaxed: as its state */
                            : sh_load_rlx(&ref->record->input);

    if (origin == 0)
        return;
    sh_hand_hold(pool, r, input, sole ? SH_HAND_SHORTENS : 0);
    sh_store_rel(&r->input, origin); /* release: death; published by the commit
                                      */
    if (sole)
        sh_store_rel(&ref->record->input, 0); /* release: death; we are alone */
    sh_work_give(work, input);
    sh_hand_clear(pool);
}

void sh_shorten(struct sh_work *work, struct sh_pool *pool, struct sh_record *r)
{
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: ours */
    unsigned id = sh_handle_pool(input);
    struct sh_ref ref;

    if (!sh_pool_enter(id))
        return;
    /* Not over memory that the value may point into. acquire: attached */
    if (sh_handle_find(input, SH_LOOK, &ref) == 0 && ref.record != NULL &&
        sh_is_settled(ref.word) &&
        sh_outcome_of(ref.word) == SH_OUTCOME_FORWARD &&
        sh_load_acq(&ref.record->attached) == NULL)
        pass_over(work, pool, r, &ref);
    sh_pool_exit(id);
}
