/* SPDX-License-Identifier: MIT */
/*
 * shutdown_drain.c - a pool is drained while its last task runs.
 *
 * Edge: quiet (future/settle.c, worker/loop.c, shutdown.c). The worker ends
 * its task and goes idle; the real shutdown sleeps no longer than that takes.
 * With -DOUTSIDE the worker sleeps, and a thread outside is settling the
 * future; with -DDELAY one that cancels a delay. With -DSPAWN the task submits another before it ends, which the
 * shutdown must not leave out.
 */
#include "submit_client.h"

#if defined(DELAY)

static void *last(void *unused)
{
    (void)unused;
    assert(sh_cancel_plain(handle_of(2)));
    return NULL;
}

#elif defined(OUTSIDE)

static void *last(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    sh_work_settle(&work, &pool, &records[2]);
    sh_work_do(&work);
    return NULL;
}

#else

static void *last(void *unused)
{
    uint64_t hint;

    (void)unused;
    be_worker();
#ifdef SPAWN
    uint64_t handle;

    assert(submit(&pool, &nothing, NULL, "here", INT64_MAX, &handle) == 0);
#endif
    sh_settle_running(&pool, &records[2], 0, 0);
    while ((hint = sh_worker_find(&worker)) != 0)
        (void)run_task(hint);
    /* As worker/loop.c does when it finds nothing. */
    sh_sleep_search(&pool.camps[0].sleep, 0);
    sh_sleep_announce(&pool.camps[0].sleep, 0);
    assert(!sh_worker_sees_work(&worker));
    sh_quiet_notify(&pool);
    return NULL;
}

#endif

static void *stopper(void *unused)
{
    (void)unused;
    assert(shunt_pool_shutdown(NULL, SHUNT_DRAIN, INT64_MAX, NULL) == 0);
    return NULL;
}

static void must_be_done(uint32_t i)
{
    uint64_t w = sh_load_rlx(&records[i].state); /* relaxed: joined */

    assert(sh_phase_of(w) == SH_DONE);
#ifndef DELAY
    assert(sh_outcome_of(w) == 0);
#endif
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_worker();
#if defined(DELAY)
    make_time(0);
    make_record(2, SH_WAIT, SH_KIND_DELAY);
    records[2].out_at = SH_BOUND;
    sh_bound_of(&records[2])->deadline_ns = 10;
    assert(sh_bound_set(&pool, &records[2], (uint64_t)GENERATION << 32));
    sh_sleep_search(&pool.camps[0].sleep, 0);
    sh_sleep_announce(&pool.camps[0].sleep, 0);
#elif defined(OUTSIDE)
    make_record(2, SH_SETTLING, SH_KIND_TASK);
    sh_sleep_search(&pool.camps[0].sleep, 0);
    sh_sleep_announce(&pool.camps[0].sleep, 0);
#else
    make_record(2, SH_RUNNING | (uint64_t)SH_OWNER_WORKER(0) << 12,
                SH_KIND_TASK);
#endif
    sh_store_rlx(&pool.records.used, 3); /* relaxed: before the threads */
    one = thread_start(last, NULL);
    two = thread_start(stopper, NULL);
    thread_join(one);
    thread_join(two);
    must_be_done(2);
#ifdef SPAWN
    must_be_done(1);
#endif
    return 0;
}
