/* SPDX-License-Identifier: MIT */
/*
 * settle_closing.c - a step becomes READY while the pool stops.
 *
 * Edge: closing (future/settle.c, worker/shutdown.c). A thread that is no
 * worker of the pool settles what the step waits for; the last steps of a
 * shutdown. One of the two settles the step, since no worker will run it.
 */
#include "submit_client.h"

#define attach attach_step /* step.c has names of its own for these */
#define give give_step
#define check check_step
#define move move_step
#include "../../runtime/future/step.c"
#undef attach
#undef give
#undef check
#undef move

static void *settler(void *unused)
{
    (void)unused;
    sh_settle_running(&pool, &records[1], 0, 0);
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
    struct sh_work work = { 0 };
    struct sh_ref ref;
    pthread_t one, two;

    make_pool_with_worker();
    make_record(1, SH_RUNNING | SH_LENT | SH_KEPT, SH_KIND_TASK);
    make_record(2, SH_INIT, SH_KIND_THEN);
    sh_store_rlx(&pool.records.used, 3); /* relaxed: before the threads */
    find(handle_of(1) | SH_HANDLE_LENT, &ref);
    assert(sh_follow(&work, &pool, &records[2], &ref));
    one = thread_start(settler, NULL);
    two = thread_start(stopper, NULL);
    thread_join(one);
    thread_join(two);
    /* relaxed: joined */
    assert(sh_phase_of(sh_load_rlx(&records[2].state)) == SH_DONE);
    return 0;
}
