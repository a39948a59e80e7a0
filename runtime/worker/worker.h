/* SPDX-License-Identifier: MIT */
/*
 * worker/worker.h - a worker: one thread, its loop, its stacks.
 *
 * The loop runs on a stack of the worker's pool of stacks, and tasks run on
 * top of it. A task that must wait leaves its stack parked, loop frame and
 * all, and the loop goes on, afresh, on another stack. When the task may go
 * on, the loop leaves the stack that it is on (which is then free) and goes
 * back to the parked one. So a stack is switched only when a task waits.
 */
#ifndef SH_WORKER_WORKER_H
#define SH_WORKER_WORKER_H

#include <pthread.h>

#include "fiber/fiber.h"
#include "fiber/stacks.h"
#include "future/settle.h"
#include "shunt/pool.h"

struct sh_worker {
    struct sh_seat seat; /* its address is the worker's */
    struct sh_pool *pool;
    struct sh_post *post;
    unsigned index;
    pthread_t thread;
    struct sh_fiber base;     /* the thread's own stack */
    struct sh_fiber *fiber;   /* the stack we are on */
    struct sh_fiber *left;    /* the stack that we left: to be given back */
    struct sh_stacks stacks;
    uint32_t resumed;         /* records to go on with, oldest first */
    uint32_t parked;          /* tasks that wait */
    struct sh_run **timers;   /* a heap, by wake_ns */
    uint32_t timer_count, timer_room;
    uint32_t tick;
    uint32_t random;
    struct sh_stamp started; /* of the tasks that it runs: loop.c */
    uint32_t look_at;        /* the tick at which it is looked at next */
    /* The epochs seen, and being looked at. Only the worker writes; a shutdown
     * looks at them. */
    _Atomic uint64_t rescan_done;
    uint64_t rescan_now;
    _Atomic uint32_t rescan_at;
};

struct sh_team {
    struct sh_worker *workers;
    unsigned count, started;
    int (*init)(void *arg);
    void *init_arg;
    char name[16];
    size_t stack_bytes;
    bool joined;
    _Atomic uint32_t stop;     /* the workers are to end */
    _Atomic uint32_t alive;    /* threads that have not ended */
    _Atomic uint32_t deserted; /* the last thread frees the pool */
};

/* The calling thread's worker, NULL outside. */
static inline struct sh_worker *sh_worker_here(void)
{
    struct sh_seat *seat = sh_here.seat;

    return seat != NULL && seat->post != NULL ? (struct sh_worker *)seat : NULL;
}

/* The loop: runs on a fresh stack, never returns. arg is the worker. */
void sh_worker_loop(void *arg);

/* Start worker index of a team; 0, or SHUNT_ENOMEM. */
int sh_worker_start(struct sh_pool *pool, unsigned index);

/* After a switch: give back the stack that was left, if one was. */
void sh_worker_give_left(struct sh_worker *w);

/* Note when the code that comes on the worker now does so. */
void sh_worker_look_at_clock(struct sh_worker *w);

/* The code of the record that a hint names is on the worker from now on. */
static inline void sh_worker_runs(struct sh_worker *w, uint64_t hint)
{
    /* relaxed: for reports, which look at the record itself */
    sh_store_rlx(&w->post->running, hint);
    if (SH_UNLIKELY((int32_t)(w->tick - w->look_at) >= 0))
        sh_worker_look_at_clock(w);
    /* What this task makes is not as old as what the last one did. */
    sh_stamp_forget(&w->seat.stamp);
}

/* Claim what a hint names, and run it; nothing if it is stale. */
void sh_worker_run(struct sh_worker *w, uint64_t hint);

/* Turns of the loop until tasks from outside come first, and halfway the
 * oldest of the worker's own: so that neither tasks which make more tasks, nor
 * tasks which wake each other, keep the worker to themselves. */
#define SH_FAIR 61u

static inline bool sh_worker_shares(uint32_t tick)
{
    return tick % SH_FAIR == 0 || tick % SH_FAIR == SH_FAIR / 2;
}

/* The next hint to run, 0 if there is none to be found now. */
uint64_t sh_worker_find(struct sh_worker *w);

/* Whether there is anything that worker w could do; looked at after it said
 * that it is idle. */
bool sh_worker_sees_work(struct sh_worker *w);

/* A task from outside was taken up: make room in the queue. */
void sh_worker_took(struct sh_worker *w);

/* Timers of parked tasks: add (false: no memory), remove, and hand those that
 * are due back to the loop. The next moment, INT64_MAX: none. */
bool sh_timer_add(struct sh_worker *w, struct sh_run *run);
void sh_timer_remove(struct sh_worker *w, struct sh_run *run);
void sh_timers_fire(struct sh_worker *w, int64_t now_ns);
int64_t sh_timers_next(const struct sh_worker *w);

/* A parked task whose state the worker itself moved to RUNNING. */
void sh_worker_resume_own(struct sh_worker *w, struct sh_record *r);

/* Drain a pool, however long it takes; how many tasks that were given up run
 * on. */
size_t sh_pool_drain(struct sh_pool *pool);

/* Free a pool whose threads have all ended. */
void sh_pool_destroy(struct sh_pool *pool);

/* SHUNT_CHECK=pointers: the offset of the first word in bytes that points to
 * the host's private heap or stacks, or -1. ends: nor may it point to the
 * stack that we are on. */
ptrdiff_t sh_pointers_check(struct sh_pool *pool, const void *bytes,
                            size_t size, bool ends);

/* What the options and the environment say; 0 or SHUNT_E*. */
int sh_options_resolve(const shunt_options *given, size_t given_size,
                       shunt_options *options_out, int *checks_out);

#endif /* SH_WORKER_WORKER_H */
