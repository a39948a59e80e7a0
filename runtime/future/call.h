/* SPDX-License-Identifier: MIT */
/*
 * future/call.h - a function of the host that is called when a future settles.
 * See call.c.
 */
#ifndef SH_FUTURE_CALL_H
#define SH_FUTURE_CALL_H

#include "future/bridge.h"

/* The first member of what waits for a future outside of all pools. fn is
 * called once, on the thread that settles: it may take a lock for a moment and
 * wake somebody, but not wait, nor call a function of the user. */
struct sh_call {
    void (*fn)(struct sh_call *call);
};

/* In place of a record: what is in hand is the cell of a call, to be or that
 * was. */
#define SH_OF_CALL SH_INDEX_MAX

/* A target of ref's pool that leads to call; 0 if there is no memory. */
uint64_t sh_call_build(const struct sh_ref *ref, struct sh_call *call);

/* The process at that place is dead: what was to be called there is not called.
 */
void sh_call_forget(struct sh_pool *pool, unsigned place);

/* Of a cell that leads to something in the process at that place, in which use
 * it does; else 0. */
uint32_t sh_call_open(struct sh_pool *pool, uint32_t cell, unsigned place);

/* Give a target back that was never hung. */
void sh_call_scrap(struct sh_pool *pool, uint64_t target);

/* Hang hung->target on ref's future, which the caller holds. If it is not
 * SH_ATTACHED, the target is given back, and fn is not called. */
enum sh_attached sh_call_hang(const struct sh_ref *ref, struct sh_hung *hung);

/* Take it off again. False if fn is being, or was, called; else it never is,
 * and what the call is part of is the caller's. */
bool sh_call_unhang(const struct sh_ref *ref, const struct sh_hung *hung);

/* The target of a CALL cell has its arrival: call, if nobody took it off. */
void sh_call_arrive(struct sh_pool *pool, struct sh_cell *c, uint64_t target);

#endif /* SH_FUTURE_CALL_H */
