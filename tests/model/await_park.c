/* SPDX-License-Identifier: MIT */
/*
 * await_park.c - a task parks while the future that it waits for settles.
 *
 * Edges: park, resume, sleep, arrive, settled (worker/await.c,
 * future/settle.c). The real await.c, on a worker whose loop is here, in the
 * place of the switch to a fresh stack: it sleeps until the task is on its
 * list of those that may go on. With -DCANCEL somebody also asks the task to
 * cancel: whoever moves it from PARKED resumes it, once. With -DTIME the wait
 * may run out as well; with -DALONE nothing else ends it. With -DJOINED it waits
 * for a call that was taken, which ends as soon as it is asked to cancel, and
 * not before: somebody asks the task alone.
 */
#include "timeout.h"

#include "../../runtime/future/cancel.c"
#ifdef JOINED
static void end_joined(struct sh_record *r);
#define sh_cancel_ask(work, pool, r, generation) (end_joined(r), 1)
#endif
#define heeded heeded_here /* deliver.c has a name of its own for this */
#include "../../runtime/worker/await.c"
#undef heeded
#undef sh_cancel_ask

#if defined(TIME)
#define NS 5
#define UNSETTLED SHUNT_PENDING
#define THIRD let_happen
#elif defined(ALONE)
#define NS 5
#define UNSETTLED SHUNT_PENDING
#else
#define NS INT64_MAX
#define UNSETTLED SHUNT_ECANCELED
#endif
#ifdef CANCEL
#define THIRD canceller
#endif
#ifdef JOINED
#define SECOND canceller
#define HOW PASSES_ON
#else
#define SECOND settler
#define HOW HEEDS
#endif

static struct sh_worker worker;
static struct sh_run run;
static struct sh_post posts[1];
static struct sh_fiber fresh;

struct sh_fiber *sh_stacks_take(struct sh_stacks *s)
{
    (void)s;
    return &fresh;
}

void sh_stacks_give(struct sh_stacks *s, struct sh_fiber *f)
{
    (void)s;
    assert(f == &fresh);
}

void sh_worker_give_left(struct sh_worker *w)
{
    (void)w;
}

void sh_worker_loop(void *arg)
{
    (void)arg;
}

/* From worker/run.c. */
bool shunt_cancelled(void)
{
    return (sh_load_acq(&records[2].state) & SH_CANCEL) != 0; /* acquire:
                                                               * claim */
}

static bool take_resumed(void)
{
    /* acquire: resume */
    uint32_t index = sh_xchg_acqrel(&posts[0].resumed, SH_NONE);

    if (index == SH_NONE)
        return false;
    assert(index == 2);
    /* relaxed: ours now */
    assert(sh_load_rlx(&records[2].link) == SH_NONE);
    assert(sh_phase_of(sh_load_acq(&records[2].state)) ==
           SH_RUNNING); /* acquire: park */
    return true;
}

static const shunt_task nothing = { .size_ = sizeof nothing };

/* The worker's loop, as far as it goes without tasks: see worker/loop.c. */
void sh_fiber_start(struct sh_fiber *from, struct sh_fiber *to,
                    void (*function)(void *), void *arg, bool leaves)
{
    struct sh_sleep *s = &pool.camps[0].sleep;

    (void)from, (void)to, (void)function, (void)arg, (void)leaves;
    sh_sleep_search(s, 0);
    for (int i = 0; i < 4; i++) {
        if (take_resumed()) {
            (void)sh_sleep_found(s, 0);
            return;
        }
        sh_sleep_announce(s, 0);
        if (sh_load_sc(&posts[0].resumed) != SH_NONE) /* seq_cst: sleep */
            sh_sleep_withdraw(s, 0);
        else
            sh_sleep_wait(s, 0, INT64_MAX);
    }
    give_up();
}

#ifndef ALONE
static void settle(struct sh_record *r)
{
    value = 42;
    sh_settle_running(&pool, r, 0, 0);
}
#endif

#ifdef JOINED
static void end_joined(struct sh_record *r)
{
    assert(r == &records[1]);
    settle(r);
}
#elif !defined(ALONE)
static void *settler(void *unused)
{
    (void)unused;
    settle(&records[1]);
    return NULL;
}
#endif

#if defined(CANCEL) || defined(JOINED)
static void *canceller(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    (void)sh_cancel_ask(&work, &pool, &records[2], GENERATION);
    return NULL;
}
#endif

static void *task(void *unused)
{
    struct sh_ref ref;
    int rc;

    (void)unused;
    sh_here.seat = &worker.seat;
    sh_here.run = &run;
    find(handle_of(1), &ref);
    rc = await_in_task(&run, &ref, NS, HOW);
    if (rc == 0)
        use_value(); /* settled, arrive */
    else
        assert(rc == UNSETTLED);
    assert(sh_phase_of(sh_load_rlx(&records[2].state)) == SH_RUNNING); /*
                                                          * relaxed: ours */
    return NULL;
}

int main(void)
{
    pthread_t threads[3];

    make_pool_with_queues();
    pool.posts = posts;
    worker.pool = &pool;
    worker.camp = &pool.camps[0];
    worker.post = worker.seat.post = &posts[0];
    sh_store_rlx(&worker.seat.pool, &pool); /* relaxed: before the threads */
    run.pool = &pool;
    run.record = &records[2];
    records[2].task = &nothing;
    run.index = 2;
    run.generation = GENERATION;
    make_record(1, SH_RUNNING, SH_KIND_TASK);
    make_record(2, SH_RUNNING | (uint64_t)SH_OWNER_WORKER(0) << 12,
                SH_KIND_TASK);
    threads[0] = thread_start(task, NULL);
#ifdef ALONE
    threads[1] = thread_start(let_happen, &run);
#else
    threads[1] = thread_start(SECOND, NULL);
#endif
#ifdef THIRD
    threads[2] = thread_start(THIRD, NULL);
    thread_join(threads[2]);
#endif
    thread_join(threads[0]);
    thread_join(threads[1]);
    return 0;
}
