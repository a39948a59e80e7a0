/* SPDX-License-Identifier: MIT */
/*
 * future/timer.h - something that happens to a record when a moment comes.
 *
 * What happens is a target, as an edge has one (future/edge.h):
 *
 *   arrival of bit SH_BIT_TIME    a wait runs out: of a parked task, or of a
 *                                 thread outside on its cell
 *   SH_BIT_DEADLINE               not an arrival: the record has reached its
 *                                 deadline. The generation is the state's.
 *
 * Edges.
 *   alarm    timer.c
 */
#ifndef SH_FUTURE_TIMER_H
#define SH_FUTURE_TIMER_H

#include "base/clock.h"
#include "future/settle.h"
#include "queue/wheel.h"

#define SH_BIT_TIME 1u
#define SH_BIT_DEADLINE 30u

enum sh_timer_phase {
    SH_TIMER_FREE,
    SH_TIMER_SET,
    SH_TIMER_DROPPED, /* it will not happen; it is in a list or the wheel */
    SH_TIMER_OUT      /* the same, but in neither */
};

enum sh_keeper { SH_KEEPER_NONE, SH_KEEPER_STARTS, SH_KEEPER_RUNS };

/* What time it is in a pool, in nanoseconds. */
static inline int64_t sh_pool_now(const struct sh_pool *pool)
{
    if (SH_UNLIKELY(pool->time.manual))
        return sh_load_sc(&pool->time.now_ns); /* seq_cst: alarm */
    return sh_clock_ns();
}

/* The moment that lies ns from now; INT64_MAX is never. */
int64_t sh_pool_after(const struct sh_pool *pool, int64_t ns);

/* The target of a record's deadline, which is in that generation. */
static inline uint64_t sh_deadline_target(uint32_t index, uint32_t generation)
{
    return sh_target(SH_TARGET_RECORD, index, SH_BIT_DEADLINE, generation);
}

/* Have target reached at a moment that is not never. A name for it, SH_NONE if
 * there is no memory, or no thread to keep the time. */
uint32_t sh_timer_set(struct sh_pool *pool, int64_t when_ns, uint64_t target);

/* Nothing shall happen: false if it does, or did. SH_NONE is no timer. */
bool sh_timer_drop(struct sh_pool *pool, uint32_t timer, uint64_t target);

/* When what is submitted to pool now must have ended, if the running task says
 * so; *deadline_ns is else unchanged. Not 0 if it was given up. */
int sh_deadline_inherit_slowly(struct sh_pool *pool, int64_t *deadline_ns);

static inline int sh_deadline_inherit(struct sh_pool *pool,
                                      int64_t *deadline_ns)
{
    const struct sh_run *run = sh_here.run;

    if (SH_LIKELY(run == NULL || run->deadline_ns == INT64_MAX))
        return 0;
    return sh_deadline_inherit_slowly(pool, deadline_ns);
}

/* The same, with a deadline of its own: ns from now, 0 for none. 0, or
 * SHUNT_ETIMEDOUT if that is past. */
int sh_deadline_of(struct sh_pool *pool, int64_t ns, int64_t *deadline_ns);

/* Set the timer of a bound record in INIT, seen with word, that has a deadline.
 * False: no memory. */
bool sh_bound_set(struct sh_pool *pool, struct sh_record *r, uint64_t word);

/* A bound record whose timer was set has been accepted: if it was due before,
 * nothing has happened. The state was written with seq_cst. */
void sh_bound_accepted(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, uint64_t word, uint32_t timer);

/* The deadline of a bound record, which is ours, is of no interest any more. */
void sh_bound_drop(struct sh_pool *pool, struct sh_record *r, uint64_t word);

/* A thread ends: what it has dropped goes to the timekeeper. */
void sh_timers_leave(struct sh_pool *pool, struct sh_seat *seat);

/* Whether something will happen by itself. */
bool sh_timers_any(struct sh_pool *pool);

/* The timekeeper, whose wheel it is: take over what was set and dropped, and
 * let happen what is due. The next moment, INT64_MAX: none. */
int64_t sh_timers_pass(struct sh_pool *pool, struct sh_wheel *wheel);

/* Whether something was set that the timekeeper has not seen. */
bool sh_timers_waiting(struct sh_pool *pool);

/* Wake the timekeeper. */
void sh_time_ring(struct sh_pool *pool);

#endif /* SH_FUTURE_TIMER_H */
