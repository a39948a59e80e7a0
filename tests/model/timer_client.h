/* SPDX-License-Identifier: MIT */
/*
 * timer_client.h - record_client.h with timers, and nothing that they reach.
 *
 * A client sets the timers of cells, each for one generation after the other,
 * as those who wait there one after the other. What is reached is noted by
 * generation, after a look at what its setter wrote before. The clock stands
 * where a pass, or the client, puts it.
 */
#ifndef SH_MODEL_TIMER_CLIENT_H
#define SH_MODEL_TIMER_CLIENT_H

#include "record_client.h"
#include "wheel_source.h"

#include "../../runtime/future/timer.c"

static struct sh_timer timers[2 * 4 + 3]; /* two a record, one a cell */
static struct sh_wheel wheel = { .timers = timers };
static struct sh_post posts[2];
static int64_t moments[ITEMS];        /* by generation: plain */
static int reached[ITEMS]; /* how often: plain */

/* What a client does when something is reached. */
#ifndef NOTE_REACHED
#define NOTE_REACHED(generation) ((void)(generation))
#endif

static void make_pool_with_timers(void)
{
    make_pool();
    pool.timers = timers;
    pool.posts = posts;
    pool.time.manual = true;
    /* relaxed: before the threads */
    sh_store_rlx(&pool.time.keeper, SH_KEEPER_RUNS);
    sh_store_rlx(&pool.time.wake_ns, INT64_MIN); /* relaxed: as above */
}

/* The calling thread is the worker that has this post. */
static inline void be_worker(unsigned post)
{
    own_seat()->post = &posts[post];
    sh_here.seat = own_seat();
}

/* Have the timer of a cell reached in that generation, a number of its own. */
static inline void set(uint32_t cell, uint32_t generation, int64_t when_ns)
{
    payload[generation] = (int)generation;
    moments[generation] = when_ns;
    assert(sh_timer_set(&pool, sh_timer_of_cell(&pool, cell), generation,
                        when_ns));
}

void sh_deliver_to(struct sh_work *work, struct sh_pool *p, uint64_t target,
                   int status)
{
    uint32_t generation = sh_target_generation(target);

    (void)work;
    assert(p == &pool && status == SHUNT_PENDING);
    assert(sh_target_kind(target) == SH_TARGET_CELL &&
           sh_target_bit(target) == SH_BIT_TIME);
    assert(payload[generation] == (int)generation); /* timer */
    /* Never early. relaxed: ours. */
    assert(sh_load_rlx(&pool.time.now_ns) >= moments[generation]);
    reached[generation]++;
    NOTE_REACHED(generation);
}

void sh_work_do_all(struct sh_work *work)
{
    (void)work;
    assert(0);
}

/* The timekeeper comes by. */
static inline int64_t come_by(int64_t now_ns)
{
    sh_store_rlx(&pool.time.now_ns, now_ns); /* relaxed: only we read it */
    return sh_timers_pass(&pool, &wheel);
}

#endif /* SH_MODEL_TIMER_CLIENT_H */
