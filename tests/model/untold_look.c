/* SPDX-License-Identifier: MIT */
/*
 * untold_look.c - a worker leaves what is to run inline in its deque, tells
 * nobody, and does something else.
 *
 * Edges: untold, alarm (future/notice.c, worker/timekeeper.c). Another worker
 * sleeps. The timekeeper has it woken, after a while, and it finds the task.
 */
#define CLOCK_STEP_NS 2000000
#define FUTEX_IS_TIME(deadline_ns) ((deadline_ns) != INT64_MAX)
#include "untold_client.h"

static void *submitter(void *unused)
{
    (void)unused;
    leave_untold();
    return NULL;
}

/* Worker 1. */
static void thief(void)
{
    uint64_t hint = 0;

    sh_sleep_wait(sleepers, 1, INT64_MAX);
    assert(sh_deque_steal(&posts[0].deque, &hint) == SH_STEAL_GOT);
    take_hint(hint);
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_sleeper();
    one = thread_start(submitter, NULL);
    two = thread_start(timekeeper, NULL);
    thief();
    sh_store_sc(&pool.time.stop, 1); /* seq_cst: alarm */
    sh_time_ring(&pool);
    thread_join(one);
    thread_join(two);
    assert(was_taken(1));
    return 0;
}
