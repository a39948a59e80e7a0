/* SPDX-License-Identifier: MIT */
/*
 * timekeeper_client.h - timer_client.h with the thread that has timers happen.
 *
 * The pool's clock is moved by hand, so nothing but a ring ends its sleep. It
 * is stopped when as much was reached as the client waits for.
 */
#ifndef SH_MODEL_TIMEKEEPER_CLIENT_H
#define SH_MODEL_TIMEKEEPER_CLIENT_H

#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>

#define NOTE_REACHED(generation) note_reached()
static void note_reached(void);

#include "timer_client.h"

#define sched_yield() give_up() /* the rest is seen where it need not */
#define snprintf(to, size, ...) ((void)(to))
#define prctl(option, value) ((void)(value))
#define pthread_equal(a, b) ((a) == (b))
#define pthread_setname_np(thread, name) \
    assert(!sh_load_rlx(&gone[thread])) /* relaxed: as it may be */

static int set_up; /* by the timekeeper: plain */

/* How many timekeepers there will be no memory for. */
static _Atomic int unable;

static inline struct sh_seat *timekeepers_seat(void)
{
    int n = sh_load_rlx(&unable); /* relaxed: the CAS validates it */

    set_up = 42;
    while (n > 0)
        if (sh_cas_rlx(&unable, &n, n - 1)) /* relaxed: a count */
            return NULL;
    return own_seat();
}

/* Each is joined once. */
static _Atomic int created, joined;
static _Atomic bool gone[THREADS_MAX];

static inline int create_thread(pthread_t *id_out, void *(*thread)(void *),
                                void *argument)
{
    *id_out = thread_start(thread, argument);
    sh_add_rlx(&created, 1); /* relaxed: a count */
    return 0;
}

static inline void join_thread(pthread_t id)
{
    assert(!sh_xchg_acq(&gone[id], true)); /* acquire: keeper */
    sh_add_rlx(&joined, 1);                /* relaxed: a count */
    thread_join(id);
}

#define pthread_create(id, attributes, thread, argument) \
    create_thread(id, thread, argument)
#define pthread_join(id, result) join_thread(id)

#define sh_seat_of(pool) timekeepers_seat()

/* From worker/watch.c: nobody has called. */
int64_t sh_watch_pass(struct sh_pool *p)
{
    (void)p;
    return INT64_MAX;
}

#include "../../runtime/worker/timekeeper.c"
#undef sh_seat_of
#undef pthread_create
#undef pthread_join

static struct sh_team team;

static int be_there(struct sh_pool *p)
{
    (void)p;
    return 0;
}

/* There is one, or is about to be. */
static void make_pool_with_timekeeper(void)
{
    make_pool_with_timers();
    pool.team = &team;
    pool.time.start = be_there;
    sh_store_rlx(&pool.time.keeper, SH_KEEPER_NONE); /* relaxed: alone */
}

static int to_reach; /* until the timekeeper ends */

static void note_reached(void)
{
    if (--to_reach == 0)
        sh_store_sc(&pool.time.stop, 1); /* seq_cst: alarm */
}

bool sh_fault(void)
{
    return false;
}

int sh_pool_find(shunt_pool *name, struct sh_pool **pool_out)
{
    (void)name;
    *pool_out = &pool;
    return 0;
}

static void *timekeeper(void *unused)
{
    (void)unused;
    return timekeeper_main(&pool);
}

#endif /* SH_MODEL_TIMEKEEPER_CLIENT_H */
