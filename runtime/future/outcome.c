/* SPDX-License-Identifier: MIT */
/*
 * future/outcome.c - how a future ended, its own or another's that it
 * forwards to.
 *
 * Edges.
 *   attached task/error.c
 *   settled  future/settle.c: write state -> here: read state
 */
#include "future/settle.h"

bool sh_origin_of(struct sh_pool **pool, struct sh_record **r, uint64_t *word)
{
    while (sh_outcome_of(*word) == SH_OUTCOME_FORWARD) {
        struct sh_ref ref;
        uint64_t input = sh_load_rlx(&(*r)->input); /* relaxed: as state */

        if (sh_handle_find(input, SH_LOOK, &ref) != 0 || ref.record == NULL)
            return false;
        *pool = ref.pool;
        *r = ref.record;
        *word = ref.word;
    }
    return true;
}

int sh_ref_status(const struct sh_ref *ref)
{
    return ref->record == NULL ? sh_reserved_status(ref->reserved)
                               : sh_status_of(ref->pool, ref->record, ref->word);
}

int sh_ref_status_now(const struct sh_ref *ref)
{
    struct sh_ref now = *ref;

    if (now.record != NULL)
        now.word = sh_load_acq(&now.record->state); /* acquire: settled */
    return sh_ref_status(&now);
}

int sh_status_of(struct sh_pool *pool, struct sh_record *r, uint64_t word)
{
    if (!sh_is_settled(word))
        return SHUNT_PENDING;
    if (sh_outcome_of(word) == SH_OUTCOME_FORWARD) {
        struct sh_ref ref;

        /* relaxed: as state. A reserved handle is its own outcome. */
        if (sh_handle_find(sh_load_rlx(&r->input), SH_LOOK, &ref) == 0 &&
            ref.record == NULL)
            return sh_reserved_status(ref.reserved);
        if (!sh_origin_of(&pool, &r, &word))
            return SHUNT_ECLOSED; /* its pool was freed */
    }
    return sh_outcome_code(sh_outcome_of(word));
}

void sh_shorten(struct sh_work *work, struct sh_record *r)
{
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: ours */
    uint64_t origin;
    struct sh_ref ref, next;
    struct sh_seat *seat;

    if (sh_handle_find(input, SH_LOOK, &ref) != 0 || ref.record == NULL ||
        !sh_is_settled(ref.word) ||
        sh_outcome_of(ref.word) != SH_OUTCOME_FORWARD)
        return;
    /* The value may point into memory of what would be passed over. */
    if (sh_load_acq(&ref.record->attached) != NULL) /* acquire: attached */
        return;
    origin = sh_load_rlx(&ref.record->input); /* relaxed: as its state */
    if (sh_handle_is_sole(&ref)) {
        /* Nobody else can look at it: take its handle over. */
        sh_store_rlx(&ref.record->input, 0); /* relaxed: we are alone */
    } else {
        if (sh_handle_find(origin, SH_LOOK, &next) != 0 ||
            next.record == NULL)
            return;
        seat = sh_seat_of(next.pool);
        origin = seat == NULL ? 0 : sh_handle_alias(seat, &next);
        if (origin == 0 || sh_handle_find(origin, SH_OWN, &next) != 0 ||
            !sh_handle_lend(&next, 0))
            return;
        origin = next.handle;
    }
    sh_store_rlx(&r->input, origin); /* relaxed: published by the commit */
    sh_work_give(work, input);
}
