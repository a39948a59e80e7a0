/* SPDX-License-Identifier: MIT */
/*
 * due_submit.c - a deadline comes while its task is submitted.
 *
 * Edge: due (future/timer.c, submit.c, delay.c, step.c). No worker comes, so
 * the deadline ends it: whether the timekeeper finds it in time, or its
 * submitter finds that the timekeeper was there too early. With -DDELAY it is a
 * delay, which then succeeds; with -DSTEP what follows another future.
 */
#include "submit_client.h"

#define find_pool find_pool_of_delay
#define accept accept_delay
#include "../../runtime/future/delay.c"
#undef find_pool
#undef accept
#define attach attach_step /* step.c has names of its own for these */
#define give give_step
#define abandon abandon_step
#define check check_step
#define move move_step
#include "../../runtime/future/step.c"
#undef attach
#undef give
#undef abandon
#undef check
#undef move

static void *submitter(void *unused)
{
    (void)unused;
#if defined(DELAY)
    assert(shunt_delay_here(NULL, 1, "here") ==
           sh_handle_future(handle_of(1)));
#elif defined(STEP)
    struct sh_ref ref;

    find(handle_of(3), &ref);
    assert(attach_step(&pool, &ref, SH_KIND_FORWARD, NULL, NULL, "here", 11) ==
           sh_handle_future(handle_of(1)));
#else
    uint64_t handle;

    assert(submit(&pool, &nothing, NULL, "here", 11, &handle) == 0);
#endif
    return NULL;
}

static void *timekeeper(void *unused)
{
    (void)unused;
    come_by(20);
    return NULL;
}

int main(void)
{
    pthread_t one, two;
    uint64_t w;

    make_pool_with_worker();
    make_time(10);
    make_record(3, SH_RUNNING | (uint64_t)SH_OWNER_WORKER(0) << 12,
                SH_KIND_TASK);
    one = thread_start(submitter, NULL);
    two = thread_start(timekeeper, NULL);
    thread_join(one);
    thread_join(two);
    come_by(30);
    w = sh_load_rlx(&records[1].state); /* relaxed: joined */
    assert(sh_phase_of(w) == SH_DONE);
#ifdef DELAY
    assert(sh_outcome_of(w) == 0);
#else
    assert(sh_outcome_code(sh_outcome_of(w)) == SHUNT_ETIMEDOUT);
#endif
    return 0;
}
