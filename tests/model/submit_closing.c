/* SPDX-License-Identifier: MIT */
/*
 * submit_closing.c - a task is submitted while the pool stops.
 *
 * Edges: accepted, closing (future/submit.c, worker/shutdown.c). The real
 * submit, from outside or, with -DINSIDE, from a task; and the last steps of
 * a shutdown. Either submit says that the pool is closed, or one of the two
 * settles the task, since no worker will.
 */
#include "submit_client.h"

static int rc;

static void *submitter(void *unused)
{
    uint64_t handle;

    (void)unused;
#ifdef INSIDE
    be_worker();
#endif
    rc = submit(&pool, &nothing, NULL, "here", INT64_MAX, &handle);
    return NULL;
}

static void *stopper(void *unused)
{
    (void)unused;
    close_gate(&pool, SH_STOPPED);
    sh_see_queues(&pool);
    (void)look_at_all(&pool, CLOSE);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_worker();
    one = thread_start(submitter, NULL);
    two = thread_start(stopper, NULL);
    thread_join(one);
    thread_join(two);
    assert(rc == SHUNT_ECLOSED ||
           sh_phase_of(sh_load_rlx(&records[1].state)) == SH_DONE); /*
                                                          * relaxed: joined */
    return 0;
}
