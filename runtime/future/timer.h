/* SPDX-License-Identifier: MIT */
/*
 * future/timer.h - something that happens to a record or a cell when a moment
 * comes.
 *
 *     timers   [ deadlines of records | waits of tasks | waits of threads ]
 *     state    generation 32 | - 30 | MOVED 1 | SET 1
 *
 * Every record has two timers, every cell has one, in arrays beside their
 * tables: none is allocated or freed. What happens stands in a timer's place:
 *
 *   deadlines   the record, in that generation of its state, has reached its
 *               deadline
 *   waits       an arrival of bit SH_BIT_TIME, in that generation of deps, or
 *               of the cell's word: the wait runs out
 *
 * A timer is never dropped. What was settled, or waited for no longer, has
 * another generation when its moment comes, and nothing happens.
 *
 * Edges.
 *   alarm    timer.c
 *   timer    timer.c
 */
#ifndef SH_FUTURE_TIMER_H
#define SH_FUTURE_TIMER_H

#include "base/clock.h"
#include "future/settle.h"
#include "queue/wheel.h"

#define SH_BIT_TIME 1u

#define SH_TIMER_SET ((uint64_t)1)
#define SH_TIMER_MOVED ((uint64_t)2) /* it is on the list of those */

enum sh_keeper {
    SH_KEEPER_NONE,
    SH_KEEPER_STARTS,
    SH_KEEPER_RUNS,
    SH_KEEPER_FAILS /* it ends at once; whoever started it joins it */
};

/* What time it is in a pool, in nanoseconds. */
static inline int64_t sh_pool_now(const struct sh_pool *pool)
{
    if (SH_UNLIKELY(pool->time.manual))
        return sh_load_sc(&pool->time.now_ns); /* seq_cst: alarm */
    return sh_clock_ns();
}

/* The moment that lies ns from now; INT64_MAX is never. */
static inline int64_t sh_pool_after(const struct sh_pool *pool, int64_t ns)
{
    int64_t now;

    if (ns == INT64_MAX)
        return ns;
    now = sh_pool_now(pool);
    if (ns <= 0)
        return now;
    return ns > INT64_MAX - now ? INT64_MAX : now + ns;
}

/* Whether a timer is set for that generation. */
static inline bool sh_timer_is_for(struct sh_timer *t, uint32_t generation)
{
    uint64_t w = sh_load_acq(&t->state); /* acquire: timer */

    return (w & SH_TIMER_SET) != 0 && (uint32_t)(w >> 32) == generation;
}

/* The timers of a record for its deadline, and for its waits; of a cell. */
static inline uint32_t sh_timer_of_deadline(uint32_t record)
{
    return record;
}

static inline uint32_t sh_timer_of_wait(const struct sh_pool *pool,
                                        uint32_t record)
{
    return pool->records.capacity + record;
}

static inline uint32_t sh_timer_of_cell(const struct sh_pool *pool,
                                        uint32_t cell)
{
    return 2 * pool->records.capacity + cell;
}

/* Have a timer's moment come at when_ns, which is not never, for what is in
 * that generation; only its record's or cell's owner sets it. False if there is
 * no thread to keep the time. */
bool sh_timer_set(struct sh_pool *pool, uint32_t index, uint32_t generation,
                  int64_t when_ns);

/* When what is submitted to pool now must have ended, if the running task says
 * so; *deadline_ns is else unchanged. Not 0 if it was given up. */
int sh_deadline_inherit_slowly(struct sh_pool *pool, int64_t *deadline_ns);

static inline int sh_deadline_inherit(struct sh_pool *pool,
                                      int64_t *deadline_ns)
{
    const struct sh_run *run = sh_here.run;

    /* relaxed: a call of the task may just commit it */
    if (SH_LIKELY(run == NULL ||
                  sh_load_bare_rlx(&run->deadline_ns) == INT64_MAX))
        return 0;
    return sh_deadline_inherit_slowly(pool, deadline_ns);
}

/* The same, with a deadline of its own: ns from now, 0 for none. 0, or
 * SHUNT_ETIMEDOUT if that is past. */
int sh_deadline_of(struct sh_pool *pool, int64_t ns, int64_t *deadline_ns);

/* Set the timer of a bound record in INIT, seen with word, that has a deadline.
 * False as above. */
bool sh_bound_set(struct sh_pool *pool, struct sh_record *r, uint64_t word);

/* A record whose deadline was set that way has been accepted, by a write of its
 * state with seq_cst: if its moment came before, nothing has happened. */
void sh_bound_accepted(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, uint64_t word);

/* The same of any record that is pending, by whoever repairs what its maker
 * may not have come to. */
void sh_bound_recheck(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r, uint64_t word);

/* A worker process has died that was setting a timer, as its post says: have
 * the timekeeper see to it. False: there is no room to tell it. */
bool sh_timer_lose(struct sh_pool *pool, uint64_t setting);

/* Whether something will happen to a record by itself, or is happening. */
bool sh_timers_any(struct sh_pool *pool);

/* The timekeeper, whose wheel it is: take over what was set, and let happen
 * what is due. The next moment, INT64_MAX: none. */
int64_t sh_timers_pass(struct sh_pool *pool, struct sh_wheel *wheel);

/* Whether something was set that the timekeeper has not seen. */
bool sh_timers_waiting(struct sh_pool *pool);

/* Wake the timekeeper; or only if it is not awake. */
void sh_time_ring(struct sh_pool *pool);
void sh_time_ring_idle(struct sh_pool *pool);

/* Something is queued, and nobody is idle: have the timekeeper look. */
void sh_time_call(struct sh_pool *pool);

/* Have the timekeeper see to it that there are as many workers at work as there
 * should be. */
void sh_time_recruit(struct sh_pool *pool);

/* What hint names was given up, and its code runs: as long as it does, the
 * timekeeper sees to it that somebody runs in the stead of its worker; a worker
 * process has grace_ns left to end it, and is killed then. */
void sh_time_stuck(struct sh_pool *pool, struct sh_post *post, uint64_t hint,
                   int64_t grace_ns);

/* How long the code of a task that was asked to end may take for that, in a
 * process. */
int64_t sh_grace_of(const struct sh_record *r);

/* A record of a process pool, in that generation, was asked to cancel: if its
 * code has begun, it is given up when its grace is over. */
void sh_grace_begin(struct sh_pool *pool, struct sh_record *r,
                    uint32_t generation);

#endif /* SH_FUTURE_TIMER_H */
