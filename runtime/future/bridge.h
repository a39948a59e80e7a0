/* SPDX-License-Identifier: MIT */
/*
 * future/bridge.h - hanging a dependant on a future, of its own pool or of
 * another. See bridge.c.
 */
#ifndef SH_FUTURE_BRIDGE_H
#define SH_FUTURE_BRIDGE_H

#include "future/edge.h"

/* Where a dependant hangs: what its edge says, and which edge it is. */
struct sh_hung {
    uint64_t target;
    sh_hook hook;
};

/* Where a record of kind FORWARD hangs, which has no data; target 0: nowhere.
 * Written before it waits. */
static inline struct sh_hung *sh_hung_of(struct sh_record *r)
{
    _Static_assert(sizeof(struct sh_hung) <= SH_BOUND_AT, "beside a bound");
    return (struct sh_hung *)(void *)r->data.bytes;
}

/* Hang what is reached by the target `here` of pool on ref's future, which the
 * caller holds. If it is not SH_ATTACHED, nothing hangs. */
enum sh_attached sh_hang(struct sh_pool *pool, const struct sh_ref *ref,
                         uint64_t here, struct sh_hung *hung_out);

/* Take it off again, unless it is being, or was, delivered. */
void sh_unhang(struct sh_pool *pool, const struct sh_ref *ref,
               const struct sh_hung *hung);

/* Take off what leads to the target `here` of pool, wherever it hangs. */
void sh_unhang_all(struct sh_pool *pool, const struct sh_ref *ref,
                   uint64_t here);

/* Set the arrival of a cell that has only one, and give the cell back. False
 * if that was done already. */
bool sh_cell_pass(struct sh_pool *pool, uint64_t target);

/* An arrival at a bridge of pool: the pool on the other side, of which the
 * caller is a guest until sh_pool_leave, and *target there. NULL if somebody
 * passed it already, or that pool is gone. */
struct sh_pool *sh_cross(struct sh_pool *pool, struct sh_cell *c,
                         uint64_t *target);

#endif /* SH_FUTURE_BRIDGE_H */
