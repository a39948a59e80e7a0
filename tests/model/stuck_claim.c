/* SPDX-License-Identifier: MIT */
/*
 * stuck_claim.c - a deadline comes while its task is claimed, or goes on.
 *
 * Edge: stuck (future/timer.c, worker/run.c, loop.c, worker.h). The real
 * sh_worker_run, or with -DRESUME the real way back to a parked task. If the
 * code is given up and runs all the same, its worker counts as stuck when the
 * timekeeper has done its part, and no more when the code has returned.
 */
#include "run_client.h"

static _Atomic bool done; /* the timekeeper */

/* What the code does: it is at it for as long as that takes. */
static void go_on(void)
{
    if (!sh_load_acq(&done)) /* acquire: stuck */
        give_up();
    /* relaxed: what the timekeeper has done is seen */
    if ((sh_load_rlx(&records[1].state) & SH_BUSY) != 0)
        assert(sh_post_is_off(&posts[0]));
}

static int call_task(const void *in, const void *ctx, void *out)
{
    (void)in, (void)ctx, (void)out;
    go_on();
    return 0;
}

#ifdef RESUME
#define pthread_setname_np(thread, name) ((void)(name))
#define syscall(number) 1 /* a thread's id */
#include "../../runtime/worker/loop.c"

static struct sh_run run;

void sh_fiber_switch(struct sh_fiber *from, struct sh_fiber *to, bool leaves)
{
    (void)from, (void)to, (void)leaves;
    go_on();
}
#endif

static void *runner(void *unused)
{
    (void)unused;
    be_worker();
    sh_here.seat = own_seat();
#ifdef RESUME
    worker.resumed = 1;
    worker.parked = 1;
    resume_next(&worker);
    sh_settle_running(&pool, &records[1], 0, 0);
#else
    sh_worker_run(&worker, sh_hint(1, GENERATION));
#endif
    return NULL;
}

static void *timekeeper(void *unused)
{
    (void)unused;
    come_by(10);
    sh_store_rel(&done, true); /* release: stuck */
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_worker();
    make_time(0);
    make_task(1);
#ifdef RESUME
    make_record(1, SH_RUNNING | (uint64_t)SH_OWNER_WORKER(0) << 12,
                SH_KIND_TASK);
    run.record = &records[1];
    run.index = 1;
    run.generation = GENERATION;
    sh_store_rlx(&records[1].input, (uint64_t)(uintptr_t)&run); /* relaxed:
                                                     * before the threads */
#endif
    one = thread_start(runner, NULL);
    two = thread_start(timekeeper, NULL);
    thread_join(one);
    thread_join(two);
    assert(!sh_post_is_off(&posts[0]));
    return 0;
}
