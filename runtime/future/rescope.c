/* SPDX-License-Identifier: MIT */
/*
 * future/rescope.c - who is in a scope, counted anew after a process has died.
 *
 *     process   begins + 1 | a bit of a cell | hold - 1 | ends + 1
 *     repair    begins, ends: all alike? | hold | cells | begins, ends: as
 *               before? | hold: CAS
 *
 * Idea. hold counts what the cells say, and who changes both does so in two
 * steps. Whoever is between the two has said that it begins, and not that it
 * has ended. So when nobody was, at a moment, hold was to be as many as the
 * cells had children that have not settled; and it is that still if it has not
 * changed, by the same CAS. It waits for nobody: if somebody is between, it is
 * for another time.
 *
 * Threads of the host, which do not die, count in words of the pool.
 *
 * Edges.
 *   accepted task/handle.c
 *   inside   future/scope.c
 *   counted  begin: write begins, then change cells and hold || repair: read
 *            them, then begins; all seq_cst
 *   sibling  future/scope.c
 *   cell     future/child.c
 *   arrive   future/edge.c
 *
 * Crash. A process that dies in between is counted out by who repairs, who then
 * counts anew.
 */
#include "future/scope.h"

static void count(struct sh_pool *pool, bool ends)
{
    struct sh_post *post = sh_post_here(pool);
    _Atomic uint32_t *of = ends ? &pool->scoped_out : &pool->scoped_in;

    if (post != NULL)
        of = ends ? &post->scoped_out : &post->scoped_in;
    sh_add_sc(of, 1); /* seq_cst: counted */
}

void sh_scope_begin(struct sh_pool *pool)
{
    if (SH_UNLIKELY(pool->shared))
        count(pool, false);
}

void sh_scope_done(struct sh_pool *pool)
{
    if (SH_UNLIKELY(pool->shared))
        count(pool, true);
}

/* Whether nobody is between two steps; *sum_out: how many have ever been. */
static bool nobody_between(struct sh_pool *pool, uint64_t *sum_out)
{
    uint32_t out = sh_load_sc(&pool->scoped_out); /* seq_cst: counted */
    uint64_t sum = out;
    bool nobody = out == sh_load_sc(&pool->scoped_in); /* seq_cst: counted */

    for (unsigned i = 0; i < sh_pool_active(pool) && nobody;
         i = sh_pool_next(pool, i)) {
        struct sh_post *post = &pool->posts[i];

        out = sh_load_sc(&post->scoped_out); /* seq_cst: counted */
        sum += out;
        nobody = out == sh_load_sc(&post->scoped_in); /* seq_cst: counted */
    }
    *sum_out = sum;
    return nobody;
}

/* Whether the child of a cell is still to leave the scope. */
static bool is_to_leave(struct sh_pool *pool, struct sh_cell *c)
{
    uint64_t child = sh_load_sc(&c->up);   /* seq_cst: sibling */
    uint64_t word = sh_load_acq(&c->word); /* acquire: arrive */
    uint64_t w;

    if (child == 0 || (word >> SH_BIT_CHILD & 1) != 0)
        return false;
    /* One that was being submitted by the dead one has never been.
     * seq_cst: sibling */
    w = sh_load_sc(&sh_record_at(pool, sh_handle_index(child))->state);
    return sh_handle_same_use(child, w) && sh_is_live(w);
}

/* How many children are in the scope, which the caller is in, too. */
static uint32_t count_children(struct sh_pool *pool, struct sh_record *r)
{
    uint32_t i = sh_load_sc(&r->data.scoping.cells); /* seq_cst: sibling */
    uint32_t n = 0;

    while (i != SH_NONE) {
        struct sh_cell *c = sh_cell_at(pool, i);

        n += is_to_leave(pool, c);
        i = sh_load_rlx(&c->link); /* relaxed: never changes in the list */
    }
    return n;
}

/* What a dead process was submitting is no child. Nobody is between. */
static void forget_unborn(struct sh_pool *pool, struct sh_record *r)
{
    uint32_t i = sh_load_sc(&r->data.scoping.cells); /* seq_cst: sibling */

    while (i != SH_NONE) {
        struct sh_cell *c = sh_cell_at(pool, i);
        uint64_t word = sh_load_acq(&c->word); /* acquire: arrive */

        if ((word >> SH_BIT_CHILD & 1) == 0 && !is_to_leave(pool, c))
            sh_store_sc(&c->up, 0); /* seq_cst: sibling */
        i = sh_load_rlx(&c->link); /* relaxed: never changes in the list */
    }
}

/* The caller is in the scope. */
static bool recount(struct sh_pool *pool, struct sh_record *r)
{
    uint64_t before, after, in, next;
    bool nobody = nobody_between(pool, &before);

    if (!nobody)
        return false;
    in = sh_load_sc(&r->hold); /* seq_cst: counted */
    next = (in & ~SH_SCOPE_COUNT) | (count_children(pool, r) + 1u);
    if (!nobody_between(pool, &after) || after != before)
        return false;
    if (next != in)
        forget_unborn(pool, r);
    return next == in || sh_cas_sc(&r->hold, &in, next); /* seq_cst: counted */
}

bool sh_scope_mend(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r)
{
    struct sh_ref ref = { .pool = pool, .record = r };
    uint64_t in;
    bool done;

    ref.word = sh_load_acq(&r->state); /* acquire: accepted */
    /* relaxed: as the state */
    if (sh_phase_of(ref.word) != SH_WAIT ||
        sh_load_rlx(&r->kind) != SH_KIND_SCOPE)
        return true;
    /* Not counted as one who is between: it is the recount that we are in. */
    if (!sh_scope_enter(&ref, 0, &in)) {
        /* Nobody is in it, and who was the last may have died. */
        if (sh_scope_is_use(&ref, in) && sh_settle_begin(r, ref.word, 0))
            sh_work_settle(work, pool, r);
        return true;
    }
    if ((in & SH_SCOPE_CANCELLED) != 0)
        (void)sh_scope_ask(work, &ref);
    done = recount(pool, r);
    sh_scope_leave(work, pool, r, 0);
    return done;
}
