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
#include "memory/table.h"

#define SH_TICK_SHIFT 18u /* a tick is 2^18 ns, 0.26 ms */
#define SH_WHEEL_LEVELS 11u /* for any moment, even in ticks of 1 ns */
#define SH_WHEEL_SLOTS 64u
#define SH_NOWHERE UINT32_MAX /* of a timer's slot: in no wheel */

/* A timer: 40 bytes in a table, named by index. */
struct sh_timer {
    _Atomic uint64_t state;  /* generation 32 | - 30 | enum sh_timer_phase */
    _Atomic uint64_t target; /* future/timer.h */
    _Atomic int64_t when_ns; /* of the pool's clock */
    /* Next in the list of free timers, of those just set; in the wheel. */
    _Atomic uint32_t link;
    _Atomic uint32_t chain; /* of free timers; of those just dropped */
    uint32_t prev, slot;    /* the wheel's */
};
_Static_assert(sizeof(struct sh_timer) == 40, "a timer");

struct sh_wheel {
    unsigned shift; /* a tick is 2^shift ns */
    uint64_t now; /* in ticks; what is due by then has been handed out */
    uint64_t full[SH_WHEEL_LEVELS]; /* a bit for each slot that is not empty */
    uint32_t heads[SH_WHEEL_LEVELS][SH_WHEEL_SLOTS];
};

static inline struct sh_timer *sh_timer_at(const struct sh_table *timers,
                                           uint32_t index)
{
    return (struct sh_timer *)(void *)timers->items + index;
}

/* An empty wheel, at now_ns. */
void sh_wheel_init(struct sh_wheel *w, unsigned shift, int64_t now_ns);

/* Put a timer in; false if it is due already, and then it was not put in. */
bool sh_wheel_add(struct sh_wheel *w, const struct sh_table *timers,
                  uint32_t index);

/* Take a timer out that is in. */
void sh_wheel_remove(struct sh_wheel *w, const struct sh_table *timers,
                     uint32_t index);

/* Go on to now_ns, and take out what is due: a list by link, SH_NONE if there
 * is none. */
uint32_t sh_wheel_advance(struct sh_wheel *w, const struct sh_table *timers,
                          int64_t now_ns);

/* When to advance again at the latest: when the earliest timer is due, or
 * earlier if that would take long to find; INT64_MAX if it is empty. */
int64_t sh_wheel_next(const struct sh_wheel *w, const struct sh_table *timers);

#endif /* SH_QUEUE_WHEEL_H */
