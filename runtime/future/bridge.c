/* SPDX-License-Identifier: MIT */
/*
 * future/bridge.c - an edge between two pools.
 *
 *     pool of the future              pool of the dependant
 *     record -> edge -> [bridge] ---> record, or leaf of a combinator
 *
 * Idea. A target names an index of its own pool's tables. So a dependant of
 * another pool hangs by a cell of the future's pool, which knows the other
 * pool and the target there. It is free again when its arrival is set: by
 * whoever delivers, or by whoever lets go, after the edge was taken off; a
 * delivery that had read the edge by then finds the arrival.
 *
 * Edges.
 *   cell     future/combine.c
 *   arrive   future/edge.c
 *   hang     future/edge.c
 *   list     future/edge.c
 *
 * Crash. Only the host makes and passes bridges, and its death ends the pool.
 */
#include "future/bridge.h"

#include "future/call.h"

#include "task/run.h"

/* A bridge from pool to a target of another; 0 if there is no memory. */
static uint64_t build(struct sh_pool *pool, struct sh_pool *to, uint64_t target)
{
    struct sh_seat *seat = sh_seat_of(pool);
    uint32_t index = seat == NULL ? SH_NONE
                                  : sh_table_take(&pool->cells, &seat->cells);
    struct sh_cell *cell;
    uint32_t generation;

    if (index == SH_NONE)
        return 0;
    cell = sh_cell_at(pool, index);
    generation = sh_arrivals_renew(&cell->word);
    sh_store_rel(&cell->up, target);               /* release: cell */
    sh_store_rel(&cell->pool, (uint16_t)to->id);   /* release: cell */
    sh_store_rel(&cell->base, sh_pool_serial(to)); /* release: cell */
    sh_store_rel(&cell->kind, SH_CELL_BRIDGE);     /* release: cell */
    return sh_target(SH_TARGET_CELL, index, 0, generation);
}

bool sh_cell_pass(struct sh_pool *pool, uint64_t target)
{
    struct sh_seat *seat = sh_seat_of(pool);
    uint32_t index = sh_target_index(target);
    uint32_t generation = sh_target_generation(target);
    struct sh_cell *cell = sh_cell_at(pool, index);

    /* Once it has arrived it may be another's: it must not be in our hand then,
     * or our death would give it back once more. acquire: arrive */
    if (sh_load_acq(&cell->word) != (uint64_t)generation << 32)
        return false;
    /* Only calls are passed by who dies alone: those of his own process, which
     * nobody else passes. */
    if (seat != NULL)
        sh_table_hand(&seat->cells, index, SH_OF_CALL);
    if (sh_arrive(&cell->word, generation, 0, NULL) != SH_ARRIVED_NEW) {
        if (seat != NULL)
            sh_table_unhand(&seat->cells);
        return false;
    }
    if (seat != NULL)
        sh_table_give_in_hand(&pool->cells, &seat->cells);
    return true;
}

SH_HOT enum sh_attached sh_hang(struct sh_pool *pool, const struct sh_ref *ref,
                                uint64_t here, struct sh_hung *hung_out)
{
    uint64_t target = ref->pool == pool ? here : build(ref->pool, pool, here);
    enum sh_attached how;

    hung_out->target = target;
    if (target == 0)
        return SH_ATTACH_NOMEM;
    how = sh_edge_attach(ref->pool, ref->record, sh_generation_of(ref->word),
                         target, &hung_out->hook);
    if (how != SH_ATTACHED && ref->pool != pool)
        (void)sh_cell_pass(ref->pool, target);
    return how;
}

void sh_unhang(struct sh_pool *pool, const struct sh_ref *ref,
               const struct sh_hung *hung)
{
    if (sh_edge_detach(ref->pool, ref->record, hung->hook, hung->target) &&
        ref->pool != pool)
        (void)sh_cell_pass(ref->pool, hung->target);
}

/* Whether target e of the pool from leads to the target `here` of pool. */
static bool leads_to(struct sh_pool *from, uint64_t e, struct sh_pool *pool,
                     uint64_t here)
{
    struct sh_cell *c;

    if (from == pool)
        return e == here;
    if (sh_target_kind(e) != SH_TARGET_CELL)
        return false;
    c = sh_cell_at(from, sh_target_index(e));
    return sh_load_acq(&c->kind) == SH_CELL_BRIDGE &&     /* acquire: cell */
           sh_load_acq(&c->up) == here &&                 /* acquire: cell */
           sh_load_acq(&c->pool) == pool->id &&           /* acquire: cell */
           sh_load_acq(&c->base) == sh_pool_serial(pool); /* acquire: cell */
}

void sh_unhang_all(struct sh_pool *pool, const struct sh_ref *ref,
                   uint64_t here)
{
    struct sh_pool *from = ref->pool;
    uint32_t i = sh_load_acq(&ref->record->edges); /* acquire: list */
    struct sh_hung hung = { sh_load_acq(&ref->record->edge0),
                            0 }; /*
                                  * acquire: hang */

    if (leads_to(from, hung.target, pool, here))
        sh_unhang(pool, ref, &hung);
    for (i &= ~SH_EDGES_CLOSED; i != SH_NONE;) {
        struct sh_edge *e = sh_edge_at(from, i);

        hung.target = sh_load_acq(&e->target); /* acquire: hang */
        hung.hook = i;
        i = sh_load_rlx(&e->next); /* relaxed: never changes in the list */
        if (leads_to(from, hung.target, pool, here))
            sh_unhang(pool, ref, &hung);
    }
}

struct sh_pool *sh_cross(struct sh_pool *pool, struct sh_cell *c,
                         uint64_t *target)
{
    /* Read before the cell may be another's; the arrival tells whether they
     * were ours. */
    uint64_t up = sh_load_acq(&c->up);       /* acquire: cell */
    unsigned id = sh_load_acq(&c->pool);     /* acquire: cell */
    uint32_t serial = sh_load_acq(&c->base); /* acquire: cell */

    if (!sh_cell_pass(pool, *target))
        return NULL;
    *target = up;
    pool = sh_pool_visit(id);
    if (pool != NULL && sh_pool_serial(pool) != serial) {
        sh_pool_leave(id); /* another that has its identifier now */
        pool = NULL;
    }
    return pool;
}
