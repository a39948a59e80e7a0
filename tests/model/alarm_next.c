/* SPDX-License-Identifier: MIT */
/*
 * alarm_next.c - a timer is set while the timekeeper says how long it sleeps.
 *
 * Edge: alarm (future/timer.c). Whoever sets a timer does not wake the
 * timekeeper if that wakes in time; and if the timer is set already, and is
 * only put off, does not even look. So until what moment it sleeps, if nobody
 * wakes it, is never later than what was set last. The timer stands in the
 * wheel for FIRST_NS, if that is not 0.
 */
#define SH_WHEEL_LEVELS 2u
#include "timer_client.h"

static int64_t next_ns;
static uint32_t rung;
static bool sleeps;

static void *setter(void *unused)
{
    (void)unused;
    set(1, 2, SECOND_NS);
#ifdef THIRD_NS
    set(1, 3, THIRD_NS);
#endif
    return NULL;
}

/* As in worker/timekeeper.c. */
static void *timekeeper(void *unused)
{
    (void)unused;
    rung = sh_load_sc(&pool.time.rung); /* seq_cst: alarm */
    next_ns = come_by(1);
    sh_store_sc(&pool.time.wake_ns, next_ns); /* seq_cst: alarm */
    sleeps = !sh_timers_waiting(&pool);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_timers();
#if FIRST_NS > 0
    set(1, 1, FIRST_NS);
    (void)come_by(0);
#endif
    one = thread_start(setter, NULL);
    two = thread_start(timekeeper, NULL);
    thread_join(one);
    thread_join(two);
    if (sleeps && sh_load_rlx(&pool.time.rung) == rung) /* relaxed: joined */
#ifdef THIRD_NS
        assert(next_ns <= THIRD_NS);
#else
        assert(next_ns <= SECOND_NS);
#endif
    return 0;
}
