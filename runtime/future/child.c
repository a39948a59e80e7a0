/* SPDX-License-Identifier: MIT */
/*
 * future/child.c - the children of a scope: how they come in, and go.
 *
 *     scope   cells -> [child 4] -> [spare] -> [child 2] -> [child 1]
 *             spares ---------------^             |
 *     child   edge0 -> its cell                   v
 *             hold: one is the scope's         its handle
 *
 * Idea. A cell says who is a child, and whether it has settled. A child is hung
 * on its cell and listed before it is accepted, so that it is one before it can
 * do anything; its edge is its first, and needs no memory. The list only grows:
 * what was refused after all, and what a scope forgets, leaves a cell for the
 * next to come. So it is as long as there were children at one time.
 *
 * Edges.
 *   sibling  future/scope.c
 *   inside   future/scope.c
 *   death    process/recover.c
 *   spare    forget: push a cell -> submit: pop it                  its link
 *   cell     adopt: write its fields -> deliver, fail: read them    as of this
 *            use
 *   arrive   future/edge.c
 *
 * Crash. A cell in neither list goes with the pool. An arrival without its
 * leaving: future/scope.c.
 */
#include "future/scope.h"
#include "future/submit.h"

/* A cell to use again, SH_NONE if there is none. */
static uint32_t pop_spare(struct sh_pool *pool, struct sh_scoping *s)
{
    uint64_t head = sh_load_acq(&s->spares); /* acquire: spare */

    while ((uint32_t)head != SH_NONE) {
        struct sh_cell *c = sh_cell_at(pool, (uint32_t)head);
        /* relaxed: if it was used again meanwhile, the tag fails the CAS */
        uint64_t next = ((head >> 32) + 1) << 32 | sh_load_rlx(&c->chain);

        if (sh_cas_acqrel(&s->spares, &head, next)) /* acq_rel: spare */
            return (uint32_t)head;
    }
    return SH_NONE;
}

static void push_spare(struct sh_pool *pool, struct sh_scoping *s,
                       uint32_t index)
{
    struct sh_cell *c = sh_cell_at(pool, index);
    uint64_t head = sh_load_rlx(&s->spares); /* relaxed: the CAS validates it */
    uint64_t next;

    sh_store_rlx(&c->up, 0); /* relaxed: what it named has settled, or never
                              * was */
    (void)sh_arrivals_renew(&c->word);
    do {
        sh_store_rlx(&c->chain, (uint32_t)head); /* relaxed: as the CAS */
        next = ((head >> 32) + 1) << 32 | index;
    } while (!sh_cas_acqrel(&s->spares, &head, next)); /* release: spare */
}

/* Find a cell for a child; false: no memory. */
static bool take_cell(struct sh_pool *pool, struct sh_child *child)
{
    struct sh_seat *seat = sh_seat_of(pool);

    child->cell = pop_spare(pool, &child->scope->data.scoping);
    child->listed = child->cell != SH_NONE;
    if (!child->listed && seat != NULL)
        child->cell = sh_table_take_in_hand(&pool->cells, &seat->cells,
                                            sh_index_of(pool, child->scope));
    return child->cell != SH_NONE;
}

/* It is not needed after all. */
static void put_cell(struct sh_pool *pool, const struct sh_child *child)
{
    if (child->listed)
        push_spare(pool, &child->scope->data.scoping, child->cell);
    else if (child->cell != SH_NONE)
        sh_table_give_in_hand(&pool->cells, &sh_seat_of(pool)->cells);
}

uint64_t sh_scope_adopt(struct sh_pool *pool, struct sh_record *r,
                        uint64_t word, struct sh_child *child)
{
    struct sh_scoping *s = &child->scope->data.scoping;
    struct sh_cell *c = sh_cell_at(pool, child->cell);
    uint32_t generation = sh_arrivals_renew(&c->word);
    uint32_t head = sh_load_rlx(&s->cells); /* relaxed: the CAS validates it */

    child->generation = sh_generation_of(word);
    sh_store_rel(&c->base, sh_index_of(pool, child->scope)); /* release: cell */
    sh_store_rel(&c->kind, SH_CELL_CHILD);                   /* release: cell */
    sh_store_rlx(&c->chain, sh_add_rlx(&s->next, 1)); /* relaxed: read when
                                                       * the scope has ended */
    sh_store_sc(&c->up, sh_handle_make(pool->id, sh_index_of(pool, r),
                                       child->generation)); /* seq_cst: sibling,
                                                             * cell */
    /* relaxed: published with the state */
    sh_store_rlx(&r->edge0, sh_target(SH_TARGET_CELL, child->cell, SH_BIT_CHILD,
                                      generation));
    /* relaxed: published with the state */
    sh_store_rlx(&r->hold, (uint64_t)child->generation << 32 | SH_HOLD_SCOPE);
    if (!child->listed) {
        do {
            sh_store_rlx(&c->link, head); /* relaxed: published by the CAS */
            /* seq_cst: sibling */
        } while (!sh_cas_sc(&s->cells, &head, child->cell));
        sh_table_unhand(&sh_seat_of(pool)->cells);
        child->listed = true;
    }
    return word | SH_WATCHED | SH_ALIASED;
}

/* Submit a task in a scope that the caller is in. */
static int submit_child(struct sh_work *work, const struct sh_ref *scope,
                        const shunt_task *task, const void *in,
                        const char *where, uint64_t *handle_out)
{
    struct sh_pool *pool = scope->pool;
    struct sh_child child = { .scope = scope->record };
    int64_t its_own = INT64_MAX;
    uint64_t now;
    int rc = take_cell(pool, &child) ? 0 : SHUNT_ENOMEM;

    child.id = sh_scope_id(sh_index_of(pool, scope->record), scope->word);
    /* Deadlines come from where the scope was opened; but code that was given
     * up submits nothing. */
    if (rc == 0)
        rc = sh_deadline_inherit(pool, &its_own);
    if (rc == 0)
        rc = sh_submit_child(pool, task, in, where,
                             scope->record->data.scoping.deadline_ns, &child,
                             handle_out);
    if (rc != 0) {
        put_cell(pool, &child);
        sh_scope_leave(work, pool, scope->record, 0);
        return rc;
    }
    /* From here on the child is in, and not we. */
    now = sh_load_sc(&scope->record->hold); /* seq_cst: sibling */
    if (sh_scope_is_use(scope, now) && (now & SH_SCOPE_CANCELLED) != 0)
        (void)sh_cancel_ask(work, pool,
                            sh_record_at(pool, sh_handle_index(*handle_out)),
                            child.generation);
    return 0;
}

shunt_future *shunt_scope_submit_here(shunt_scope *scope,
                                      const shunt_task *task, const void *in,
                                      const char *where)
{
    struct sh_work work = { 0 };
    uint64_t handle = 0, shut, seen;
    struct sh_ref ref;
    int rc = sh_scope_find(scope, &ref);

    if (rc != 0)
        return sh_handle_failed(0, rc);
    sh_scope_begin(ref.pool);
    shut = SH_SCOPE_CANCELLED | (sh_scope_has_us(&ref) ? 0 : SH_SCOPE_CLOSING);
    if (sh_scope_enter(&ref, shut, &seen)) {
        rc = submit_child(&work, &ref, task, in, where, &handle);
    } else if (!sh_scope_is_use(&ref, seen)) {
        rc = SHUNT_EINVAL;
    } else if ((seen & SH_SCOPE_CANCELLED) != 0) {
        sh_scope_lose(&ref);
        rc = SHUNT_ECANCELED;
    } else {
        rc = SHUNT_ECLOSED;
    }
    sh_scope_done(ref.pool);
    sh_work_do(&work);
    return rc == 0 ? sh_handle_future(handle) : sh_submit_refuse(ref.pool, rc);
}

/* The scope does not count for this child any more. */
static void let_go(struct sh_work *work, struct sh_pool *pool, uint64_t child)
{
    struct sh_ref ref = { .handle = child,
                          .pool = pool,
                          .record =
                              sh_record_at(pool, sh_handle_index(child)) };

    if (sh_handle_unscope(&ref) == SH_GIVEN_LAST)
        sh_work_free(work, pool, ref.record);
}

/* Whether a scope forgets a child that has settled with that status. */
static bool forgets(struct sh_record *r, int status)
{
    /* relaxed: set when it was opened */
    if ((sh_load_rlx(&r->hold) & SH_SCOPE_FORGETS) == 0)
        return false;
    return status == 0 || status == SHUNT_ECANCELED ||
           sh_add_rlx(&r->data.scoping.kept, 1) >=
               SH_SCOPE_KEPT_MAX; /*
                                   * relaxed: a count */
}

void sh_scope_arrive(struct sh_work *work, struct sh_pool *pool,
                     uint64_t target, int status)
{
    struct sh_cell *c = sh_cell_at(pool, sh_target_index(target));
    uint64_t word = sh_load_acq(&c->word); /* acquire: arrive */
    uint64_t child = sh_load_acq(&c->up);  /* acquire: cell */
    struct sh_record *r = sh_record_at(pool, sh_load_acq(&c->base)); /* acquire:
                                                                      * cell */

    /* Only who settles the child brings this, so until it is noted the cell is
     * the child's, and the child is in the scope. */
    if ((uint32_t)(word >> 32) != sh_target_generation(target) ||
        (word >> SH_BIT_CHILD & 1) != 0)
        return;
    sh_scope_begin(pool);
    (void)sh_arrive(&c->word, sh_target_generation(target), SH_BIT_CHILD, NULL);
    if (!forgets(r, status)) {
        sh_scope_leave(work, pool, r, 0);
    } else {
        let_go(work, pool, child);
        push_spare(pool, &r->data.scoping, sh_target_index(target));
        sh_scope_leave(work, pool, r,
                       status == SHUNT_ECANCELED ? SH_SCOPE_LOST : 0);
    }
    sh_scope_done(pool);
}

void sh_scope_let_go(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r)
{
    uint32_t i = sh_load_rlx(&r->data.scoping.cells); /* relaxed: ours */

    while (i != SH_NONE) {
        struct sh_cell *c = sh_cell_at(pool, i);
        uint64_t child = sh_load_rlx(&c->up); /* relaxed: ours */

        if (child != 0) {
            /* Nobody has given the handle of its submit back? Then we do. */
            sh_work_give(work, child);
            let_go(work, pool, child);
        }
        /* Last: done twice, the others do nothing. release: death */
        sh_store_rel(&c->up, 0);
        i = sh_load_rlx(&c->link); /* relaxed: ours */
    }
}

void sh_scope_dispose(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r)
{
    struct sh_seat *seat = sh_seat_of(pool);
    uint32_t i = sh_load_rlx(&r->data.scoping.cells); /* relaxed: ours */

    sh_scope_let_go(work, pool, r);
    while (i != SH_NONE && seat != NULL) {
        struct sh_cell *c = sh_cell_at(pool, i);
        uint32_t next = sh_load_rlx(&c->link); /* relaxed: ours */

        (void)sh_arrivals_renew(&c->word);
        /* Taken off first: who repeats this gives none back twice. */
        sh_table_hand(&seat->cells, i, sh_index_of(pool, r));
        sh_store_rel(&r->data.scoping.cells, next); /* release: death */
        sh_table_give_in_hand(&pool->cells, &seat->cells);
        i = next;
    }
}
