/* SPDX-License-Identifier: MIT */
/*
 * future/call.c - an edge that leads out of all pools, to a function of the
 * host.
 *
 *     record -> edge -> [cell: CALL] ---> { fn | what the host keeps ... }
 *
 * Idea. Whoever waits outside of pools hangs on the future by a cell of the
 * future's pool that has the address of a sh_call. Setting the cell's arrival
 * is the claim to it: the settler, which then calls, and whoever takes it off
 * exclude each other by that one CAS. So the address is good when it is used,
 * though nobody waits for anybody, and a settler that comes too late looks at
 * the cell alone, which is type-stable.
 *
 * Edges.
 *   cell     future/combine.c
 *   arrive   future/edge.c
 *
 * Crash. The address is good in one process only, which the cell names: others
 * do not call it, but hand the record over (hand.c). Until then that stays
 * COMPLETE with an edge that is not CLOSED; so whoever looks through the table
 * after a death finds what is left to be called. The cells of the dead one are
 * passed, whether they hang or not: base repeats the generation of a cell's use
 * as a call, as no other kind of cell does, so that none is taken for one which
 * somebody else is just setting up.
 */
#include "future/call.h"

uint64_t sh_call_build(const struct sh_ref *ref, struct sh_call *call)
{
    struct sh_pool *pool = ref->pool;
    struct sh_seat *seat = sh_seat_of(pool);
    uint32_t index =
        seat == NULL
            ? SH_NONE
            : sh_table_take_in_hand(&pool->cells, &seat->cells, SH_OF_CALL);
    struct sh_cell *cell;
    uint32_t generation;

    if (index == SH_NONE)
        return 0;
    /* relaxed: for who finds this process dead. Of the host nobody asks. */
    if (sh_place_in(pool) > 0)
        sh_store_rlx(&pool->posts[sh_place_in(pool) - 1].calls, 1);
    cell = sh_cell_at(pool, index);
    generation = sh_arrivals_renew(&cell->word);
    sh_store_rel(&cell->up, (uint64_t)(uintptr_t)call); /* release: cell */
    /* release: cell */
    sh_store_rel(&cell->pool, (uint16_t)sh_place_in(pool));
    sh_store_rel(&cell->base, ~generation);  /* release: cell */
    sh_store_rel(&cell->kind, SH_CELL_CALL); /* release: cell */
    sh_table_unhand(&seat->cells);
    return sh_target(SH_TARGET_CELL, index, 0, generation);
}

uint32_t sh_call_open(struct sh_pool *pool, uint32_t cell, unsigned place)
{
    struct sh_cell *c = sh_cell_at(pool, cell);
    /* First: with that of a use which somebody is just setting up, his place is
     * there. acquire: cell */
    uint32_t generation = ~sh_load_acq(&c->base);

    return sh_load_acq(&c->kind) == SH_CELL_CALL &&  /* acquire: cell */
                   sh_load_acq(&c->pool) == place && /* acquire: cell */
                   /* acquire: arrive */
                   sh_load_acq(&c->word) == (uint64_t)generation << 32
               ? generation
               : 0;
}

void sh_call_forget(struct sh_pool *pool, unsigned place)
{
    uint32_t used = sh_table_used(&pool->cells);

    for (uint32_t i = 1; i < used; i++) {
        uint32_t generation = sh_call_open(pool, i, place);

        if (generation != 0)
            (void)sh_cell_pass(pool,
                               sh_target(SH_TARGET_CELL, i, 0, generation));
    }
}

void sh_call_scrap(struct sh_pool *pool, uint64_t target)
{
    (void)sh_cell_pass(pool, target);
}

enum sh_attached sh_call_hang(const struct sh_ref *ref, struct sh_hung *hung)
{
    enum sh_attached how = sh_edge_attach(ref->pool, ref->record,
                                          sh_generation_of(ref->word),
                                          hung->target, &hung->hook);

    if (how != SH_ATTACHED)
        sh_call_scrap(ref->pool, hung->target);
    return how;
}

bool sh_call_unhang(const struct sh_ref *ref, const struct sh_hung *hung)
{
    (void)sh_edge_detach(ref->pool, ref->record, hung->hook, hung->target);
    /* A settler may have read the edge before: the arrival decides. */
    return sh_cell_pass(ref->pool, hung->target);
}

void sh_call_arrive(struct sh_pool *pool, struct sh_cell *c, uint64_t target)
{
    /* Read before the cell may be another's; the arrival tells whether it was
     * ours. acquire: cell */
    uint64_t up = sh_load_acq(&c->up);
    struct sh_call *call = (struct sh_call *)(uintptr_t)up;

    if (sh_cell_pass(pool, target))
        call->fn(call);
}
