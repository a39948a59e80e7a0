/* SPDX-License-Identifier: MIT */
/*
 * worker/timekeeper.c - the thread that has a pool's timers happen, and comes
 * by for what else must not wait for a worker.
 *
 * Idea. A worker may be kept by the code that it runs for as long as that
 * likes, so what must happen in time happens on a thread of its own. It sleeps
 * until the earliest timer is due, or somebody rings. What follows from a timer
 * (dependants, drop hooks) is done by it; tasks are not. In each round it also
 *   - has stuck workers replaced (standin.c);
 *   - does what worker processes have left to the host (future/hand.c), and
 *     starts the threads of an auto pool (guests.c), or the worker at home of a
 *     process pool (home.c), when they are wanted;
 *   - steers: 10 ms after a sample at the earliest, of a pool that keeps
 *     figures, it takes a step of the policy (place/steer.c);
 *   - watches, once it was called, over workers that are blocked (watch.c).
 * It is started with a pool that has processes or figures; of others when the
 * first timer is set, or when something is queued first and all workers are
 * busy.
 *
 * Edges.
 *   alarm    future/timer.c
 *   untold   future/notice.c
 *   keeper   future/timer.c; and start: write STARTS, then read stop || stop:
 *            write stop, then read the keeper's state; all seq_cst
 *   sampled  worker/sample.h
 *   served   pass: write served -> advance: read it   what was due
 *            happened; and stop: write NONE, then move served -> advance: read
 *            served, then the keeper's state: nobody waits for who has gone
 *
 * Crash. It is a thread of the host, whose death ends the pool.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/fault.h"
#include "future/timer.h"
#include "sync/futex.h"
#include "worker/blocking.h"

/* What was to run inline, and does not, waits so long for somebody else. */
#define TELL_NS 2000000

/* What was due when the clock had been moved so often has happened. */
static void serve(struct sh_pool *pool, uint32_t moved)
{
    sh_store_sc(&pool->time.served, moved); /* seq_cst: served */
    sh_futex_wake(&pool->time.served, INT32_MAX, pool->shared);
}

/* Look at the figures, if there are new ones and the last look is long enough
 * ago. Until when to sleep, by the system's clock: INT64_MAX as long as there
 * are none, since then whoever has one rings. */
static int64_t steer(struct sh_pool *pool, int64_t *looked_ns)
{
    struct sh_time *time = &pool->time;
    int64_t now_ns, next_ns = INT64_MAX;

    if (time->steer == NULL)
        return INT64_MAX;
    now_ns = sh_clock_ns();
    if (now_ns < *looked_ns + SH_STEER_NS) {
        next_ns = *looked_ns + SH_STEER_NS;
    } else if (sh_xchg_sc(&time->sampled, 0) != 0) { /* seq_cst: sampled */
        time->steer(pool);
        *looked_ns = sh_clock_ns();
        next_ns = *looked_ns + SH_STEER_NS;
    }
    sh_store_sc(&time->steer_ns, next_ns); /* seq_cst: sampled */
    if (next_ns == INT64_MAX && sh_load_sc(&time->sampled) != 0) /* seq_cst:
                                                                  * sampled */
        return 0;
    return next_ns;
}

/* Sleep until next_ns of the pool's clock, until_ns of the system's, or until
 * something is set that is due before. */
static void sleep_until(struct sh_pool *pool, uint32_t rung, int64_t next_ns,
                        int64_t until_ns, bool tells)
{
    struct sh_time *time = &pool->time;

    if (!time->manual && next_ns < until_ns)
        until_ns = next_ns;
    sh_store_sc(&time->wake_ns, next_ns); /* seq_cst: alarm */
    if (!sh_timers_waiting(pool) &&
        sh_load_sc(&time->called) == 0 &&            /* seq_cst: alarm */
        (tells || sh_load_sc(&time->untold) == 0) && /* seq_cst: alarm */
        sh_load_sc(&time->stop) == 0)                /* seq_cst: alarm */
        sh_futex_wait(&time->rung, rung, until_ns, pool->shared);
    sh_store_sc(&time->wake_ns, INT64_MIN); /* seq_cst: alarm */
}

/* What others need of us to know who we are; from RUNS on they may join us. And
 * the kernel shall wake us when it is time, not up to 50 us later. */
static void introduce(struct sh_team *team)
{
    char name[16];

    team->timekeeper = pthread_self();
    snprintf(name, sizeof name, "%.10s-time", team->name);
    pthread_setname_np(team->timekeeper, name);
    prctl(PR_SET_TIMERSLACK, 1UL);
}

/* What worker processes have left to the host; not while somebody repairs what
 * one of them has left behind. */
static void do_handed(struct sh_pool *pool)
{
    pthread_mutex_lock(&pool->team->repair);
    sh_handed_do(pool, 0);
    pthread_mutex_unlock(&pool->team->repair);
}

/* Whoever awaits what runs inline will have run it by then; if not, another may:
 * when to look again. */
static int64_t tell(struct sh_pool *pool, int64_t *tell_ns)
{
    int64_t now_ns;

    if (sh_load_sc(&pool->time.untold) == 0) /* seq_cst: untold */
        return INT64_MAX;
    now_ns = sh_clock_ns();
    if (*tell_ns == 0)
        *tell_ns = now_ns + TELL_NS;
    if (now_ns < *tell_ns)
        return *tell_ns;
    *tell_ns = 0;
    sh_store_sc(&pool->time.untold, 0); /* seq_cst: untold */
    for (unsigned c = 0; c <= pool->mixed; c++)
        if (sh_camp_is_queued(pool, &pool->camps[c]))
            sh_sleep_notify(&pool->camps[c].sleep);
    return INT64_MAX;
}

static int64_t sooner(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static void *timekeeper_main(void *arg)
{
    struct sh_pool *pool = arg;
    struct sh_time *time = &pool->time;
    struct sh_wheel wheel;
    bool able = sh_seat_of(pool) != NULL;
    int64_t looked_ns = 0, tell_ns = 0;

    /* Who moves the clock by hand means what he says. */
    sh_wheel_init(&wheel, pool->timers, time->manual ? 0 : SH_TICK_SHIFT,
                  sh_pool_now(pool));
    introduce(pool->team);
    /* release: keeper */
    sh_store_rel(&time->keeper, able ? SH_KEEPER_RUNS : SH_KEEPER_FAILS);
    while (able && sh_load_sc(&time->stop) == 0) { /* seq_cst: alarm */
        uint32_t rung = sh_load_sc(&time->rung);   /* seq_cst: alarm */
        uint32_t moved = sh_load_sc(&time->moved); /* seq_cst: alarm */
        int64_t next_ns = sh_timers_pass(pool, &wheel);
        int64_t until_ns;

        if (time->manual)
            serve(pool, moved);
        if (sh_xchg_sc(&time->shorthanded, 0) != 0) /* seq_cst: alarm */
            pool->team->crew->relieve(pool);
        if (pool->shared) {
            if (pool->mixed)
                sh_guests_start(pool);
            else
                sh_home_start(pool);
            do_handed(pool);
        }
        until_ns = steer(pool, &looked_ns);
        until_ns = sooner(until_ns, sh_watch_pass(pool));
        until_ns = sooner(until_ns, tell(pool, &tell_ns));
        sleep_until(pool, rung, next_ns, until_ns, tell_ns != 0);
    }
    return NULL;
}

/* A thread that no signal of the host interrupts. */
static int create(struct sh_pool *pool, pthread_t *thread_out)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = sh_fault() ? SHUNT_ENOMEM
                    : pthread_create(thread_out, NULL, timekeeper_main, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : SHUNT_ENOMEM;
}

/* Wait while somebody starts it: once in a pool's life, and for as long as a
 * thread takes to start. Whether it runs. */
static bool is_up(struct sh_pool *pool)
{
    uint32_t keeper = sh_load_sc(&pool->time.keeper); /* seq_cst: keeper */

    while (keeper == SH_KEEPER_STARTS || keeper == SH_KEEPER_FAILS) {
        sched_yield();
        keeper = sh_load_sc(&pool->time.keeper); /* seq_cst: keeper */
    }
    return keeper == SH_KEEPER_RUNS;
}

int sh_timekeeper_start(struct sh_pool *pool)
{
    _Atomic uint32_t *keeper = &pool->time.keeper;
    uint32_t none = SH_KEEPER_NONE;
    pthread_t thread;
    uint32_t now;

    /* A process has one, or its pool is about to end. */
    if (sh_self()->served != NULL)
        return SHUNT_ENOMEM;
    if (!sh_cas_sc(keeper, &none, SH_KEEPER_STARTS)) /* seq_cst: keeper */
        return is_up(pool) ? 0 : SHUNT_ENOMEM;
    /* Not in a pool that ends: whoever stops the timekeeper looks after he has
     * said so. seq_cst: keeper */
    if (sh_load_sc(&pool->time.stop) != 0 || create(pool, &thread) != 0) {
        sh_store_rel(keeper, SH_KEEPER_NONE); /* release: keeper */
        return SHUNT_ENOMEM;
    }
    /* Looked at once: a pool's end may join it as soon as it runs. */
    while ((now = sh_load_acq(keeper)) == SH_KEEPER_STARTS) /* acquire: keeper
                                                             */
        sched_yield();
    if (now != SH_KEEPER_FAILS)
        return now == SH_KEEPER_RUNS ? 0 : SHUNT_ENOMEM;
    pthread_join(thread, NULL);
    sh_store_rel(keeper, SH_KEEPER_NONE); /* release: keeper */
    return SHUNT_ENOMEM;
}

void sh_timekeeper_stop(struct sh_pool *pool)
{
    sh_store_sc(&pool->time.stop, 1); /* seq_cst: alarm, keeper */
    if (!is_up(pool))
        return;
    sh_time_ring(pool);
    pthread_join(pool->team->timekeeper, NULL);
    sh_store_rel(&pool->time.keeper, SH_KEEPER_NONE); /* release: keeper */
    /* Nobody serves any more. */
    sh_add_sc(&pool->time.served, 1); /* seq_cst: served */
    sh_futex_wake(&pool->time.served, INT32_MAX, pool->shared);
}

bool sh_is_of_team(struct sh_pool *pool)
{
    const struct sh_worker *w = sh_worker_here();

    for (const struct sh_hook *h = sh_here.hook; h != NULL; h = h->outer)
        if (h->pool == pool->id)
            return true;
    if (w != NULL)
        return w->pool == pool;
    return sh_load_acq(&pool->time.keeper) == SH_KEEPER_RUNS && /* acquire:
                                                                 * keeper */
           pthread_equal(pthread_self(), pool->team->timekeeper);
}

int shunt_pool_advance(shunt_pool *name, int64_t ns)
{
    struct sh_pool *pool;
    int64_t now_ns, next_ns;
    uint32_t moved, served;
    unsigned id;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return rc;
    if (!pool->time.manual || ns < 0)
        return SHUNT_EINVAL;
    if (sh_here.run != NULL || sh_is_of_team(pool))
        return SHUNT_EDEADLK;
    id = pool->id;
    if (!sh_pool_enter(id))
        return SHUNT_EINVAL;
    now_ns = sh_load_sc(&pool->time.now_ns); /* seq_cst: alarm */
    do {
        next_ns = ns < INT64_MAX - 1 - now_ns ? now_ns + ns : INT64_MAX - 1;
    } while (!sh_cas_sc(&pool->time.now_ns, &now_ns, next_ns)); /* seq_cst:
                                                                 * alarm */
    moved = sh_add_sc(&pool->time.moved, 1) + 1; /* seq_cst: alarm */
    sh_time_ring(pool);
    for (;;) {
        served = sh_load_sc(&pool->time.served); /* seq_cst: served */
        if ((int32_t)(served - moved) >= 0 ||
            sh_load_acq(&pool->time.keeper) != SH_KEEPER_RUNS) /* acquire:
                                                                * keeper */
            break;
        sh_futex_wait(&pool->time.served, served, INT64_MAX, pool->shared);
    }
    sh_pool_exit(id);
    return 0;
}
