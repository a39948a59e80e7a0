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
 *
 * Crash. Only the host does this.
 */
#include "future/undo.h"

#include "future/bridge.h"
#include "future/combine.h"
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

void sh_undo(struct sh_work *work, struct sh_pool *pool, struct sh_record *r)
{
    unsigned kind = sh_load_acq(&r->kind); /* acquire: cell */

    uint64_t input = sh_load_rlx(&r->input); /* relaxed: its maker is dead */
    uint64_t deps = sh_load_rlx(&r->deps);   /* relaxed: likewise */

    if (kind >= SH_KIND_THEN && kind <= SH_KIND_FORWARD)
        give(work, pool, input,
             sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), 0,
                       (uint32_t)(deps >> 32)));
    else if (kind == SH_KIND_PROMISE)
        sh_promise_dispose(pool, r);
    else if (sh_kind_combines(kind))
        undo_combine(work, pool, r, kind);
    sh_blocks_free(work, r);
    if (kind <= SH_KIND_FORWARD || kind == SH_KIND_DEAL)
        sh_record_free_data(pool, r);
}
