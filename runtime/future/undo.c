/* SPDX-License-Identifier: MIT */
/*
 * future/undo.c - what a record holds that was being made by a process which
 * has died.
 *
 * Idea. Nobody has a name of such a record that is good, but it may have taken
 * handles already, and hang on what they name. Each maker writes the name that
 * a handle is to have, lent, where it is looked for here, and then lends it: a
 * handle that was not lent yet has another name, and is its task's still. What
 * the kind says of the record's data is true from the moment that the kind is
 * there.
 *
 * Edges.
 *   cell     future/combine.c
 *   settled  future/settle.c
 *
 * Crash. Only the host does this.
 */
#include "future/undo.h"

#include "future/bridge.h"
#include "future/combine.h"
#include "future/retry.h"
#include "task/data.h"

/* Give a handle back that the record may have been lent, and hangs on. */
static void give(struct sh_work *work, struct sh_pool *pool, uint64_t handle,
                 uint64_t target)
{
    unsigned id = sh_handle_pool(handle);
    struct sh_ref ref;

    if ((handle & SH_HANDLE_LENT) == 0 || !sh_pool_enter(id))
        return;
    if (sh_handle_find(handle, SH_LOOK, &ref) == 0 && ref.record != NULL) {
        /* Where it hangs may not have been noted. */
        if (!sh_is_settled(ref.word))
            sh_unhang_all(pool, &ref, target);
        sh_work_give(work, handle);
    }
    sh_pool_exit(id);
}

static void undo_combine(struct sh_work *work, struct sh_pool *pool,
                         struct sh_record *r, unsigned kind)
{
    struct sh_combine *c = r->data.combining.more;

    if (c == NULL)
        return;
    /* What a keeper hangs on it was not lent. */
    for (uint32_t i = 0; kind != SH_KIND_KEEP && i < c->held; i++)
        give(work, pool, sh_handle_of(c->names[i]),
             sh_combine_target(pool, r, i));
    sh_combine_wreck(pool, r);
}

/* Its attempt may run already, and looks at the record when it leaves: so that
 * settles, held by nobody. */
static bool ends_retry(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r)
{
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: its maker is dead */
    struct sh_ref ref;

    /* relaxed: likewise */
    if (sh_handle_find(sh_load_rlx(&r->input), SH_LOOK, &ref) != 0 ||
        ref.record == NULL)
        return false;
    w |= SH_GONE | SH_ORPHAN;
    sh_store_rel(&r->state,
                 sh_word_settled(w, SH_SETTLING, sh_owner_here(),
                                 sh_outcome_from(SHUNT_ECANCELED))); /* release:
                                                                      * settled */
    sh_work_settle(work, pool, r);
    return true;
}

/* False if it settles. */
static bool undo(struct sh_work *work, struct sh_pool *pool,
                 struct sh_record *r)
{
    unsigned kind = sh_load_acq(&r->kind);   /* acquire: cell */
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: its maker is dead */
    uint64_t deps = sh_load_rlx(&r->deps);   /* relaxed: likewise */

    if (kind >= SH_KIND_THEN && kind <= SH_KIND_FORWARD)
        give(work, pool, input,
             sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), 0,
                       (uint32_t)(deps >> 32)));
    else if (kind == SH_KIND_RETRY && ends_retry(work, pool, r))
        return false;
    else if (kind == SH_KIND_PROMISE)
        sh_promise_dispose(pool, r);
    else if (sh_kind_combines(kind))
        undo_combine(work, pool, r, kind);
    sh_blocks_free(work, r);
    if (kind <= SH_KIND_FORWARD || kind == SH_KIND_DEAL ||
        kind == SH_KIND_TRY || kind == SH_KIND_RETRY)
        sh_record_free_data(pool, r);
    return true;
}

void sh_undo(struct sh_pool *pool, struct sh_record *r, uint64_t word)
{
    struct sh_work work = { 0 };
    bool undone = undo(&work, pool, r);

    sh_work_do(&work);
    if (undone)
        sh_record_retire(pool, sh_seat_of(pool), r, word);
}

void sh_undo_attempt(struct sh_pool *pool, struct sh_record *r, unsigned owner)
{
    uint64_t input = sh_load_acq(&r->input); /* acquire: cell */
    struct sh_record *attempt;
    uint64_t w;

    /* relaxed: ours */
    if (sh_load_rlx(&r->kind) != SH_KIND_RETRY || input == 0 ||
        sh_handle_index(input) == SH_HANDLE_RESERVED)
        return;
    attempt = sh_record_at(pool, sh_handle_index(input));
    w = sh_load_acq(&attempt->state); /* acquire: cell */
    if (sh_phase_of(w) == SH_INIT && sh_owner_of(w) == owner &&
        sh_handle_same_use(input, w))
        sh_undo(pool, attempt, w);
}
