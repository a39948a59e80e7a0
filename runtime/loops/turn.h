/* SPDX-License-Identifier: MIT */
/*
 * loops/turn.h - whose turn it is in a serial stage; see turn.c.
 */
#ifndef SH_LOOPS_TURN_H
#define SH_LOOPS_TURN_H

#include "base/atomic.h"
#include "shunt/future.h"

/* What stands in the word of a turn: nobody has come, nor may; or it may be
 * taken; or the promise that its item waits for. */
enum {
    SH_TURN_CLOSED = 0,
    SH_TURN_FREE = 1
};

struct sh_turns {
    _Atomic uint64_t *words; /* one for each token */
    uint64_t count;
    _Atomic uint64_t drawn; /* numbers that were drawn, out of order */
    _Atomic uint32_t ended; /* nobody gets a turn any more */
};

/* The first turn is free. */
void sh_turns_init(struct sh_turns *t, _Atomic uint64_t *words, uint64_t count);

/* The next number, for an item that comes out of order. */
uint64_t sh_turn_draw(struct sh_turns *t);

/* Wait until that turn is free, and take it: 0; SHUNT_ECANCELED if the task was
 * asked to cancel or the turns have ended; or another code, for want of memory
 * or of a pool. Parks the task. */
int sh_turn_take(struct sh_turns *t, uint64_t turn);

/* It is over: the next one is free. */
void sh_turn_pass(struct sh_turns *t, uint64_t turn);

/* Let all that wait go, without a turn. */
void sh_turns_end(struct sh_turns *t);

#endif /* SH_LOOPS_TURN_H */
