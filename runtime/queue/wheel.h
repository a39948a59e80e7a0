/* SPDX-License-Identifier: MIT */
/*
 * queue/wheel.h - timers in the order of their moments; see wheel.c.
 *
 * One thread uses a wheel, the timekeeper; what others touch of a timer are
 * its atomic words (future/timer.c).
 */
#ifndef SH_QUEUE_WHEEL_H
#define SH_QUEUE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#define SH_TICK_SHIFT 16u /* a tick is 2^16 ns, 66 us */
#ifndef SH_WHEEL_LEVELS
#define SH_WHEEL_LEVELS 11u /* for any moment, even in ticks of 1 ns */
#endif
#define SH_WHEEL_SLOTS 64u
#define SH_TIMER_NONE 0u  /* of an index */
#define SH_NOWHERE 0u     /* of a slot: in no wheel */

/* A timer: 32 bytes, named by index. */
struct sh_timer {
    _Atomic uint64_t state;  /* future/timer.h */
    _Atomic int64_t when_ns; /* of the pool's clock */
    /* Next in the list of those just set; in the wheel. */
    _Atomic uint32_t link;
    _Atomic uint32_t moved; /* next in the list of those put forward */
    uint32_t prev, slot;    /* the wheel's; the slot + 1 */
};
_Static_assert(sizeof(struct sh_timer) == 32, "two to a line");

struct sh_wheel {
    struct sh_timer *timers;
    unsigned shift; /* a tick is 2^shift ns */
    uint64_t now; /* in ticks; what is due by then has been handed out */
    uint64_t full[SH_WHEEL_LEVELS]; /* a bit for each slot that is not empty */
    uint32_t heads[SH_WHEEL_LEVELS][SH_WHEEL_SLOTS];
};

/* An empty wheel, at now_ns. */
void sh_wheel_init(struct sh_wheel *w, struct sh_timer *timers, unsigned shift,
                   int64_t now_ns);

/* Put a timer in; false if it is due already, and then it was not put in. */
bool sh_wheel_add(struct sh_wheel *w, uint32_t index);

/* Take a timer out that is in. */
void sh_wheel_remove(struct sh_wheel *w, uint32_t index);

/* Go on to now_ns, and take out what is due, or was when it was put in: a list
 * by link, SH_TIMER_NONE if there is none. */
uint32_t sh_wheel_advance(struct sh_wheel *w, int64_t now_ns);

/* When to advance again at the latest: when the earliest timer is due, or
 * earlier if that would take long to find; INT64_MAX if it is empty. */
int64_t sh_wheel_next(const struct sh_wheel *w);

#endif /* SH_QUEUE_WHEEL_H */
