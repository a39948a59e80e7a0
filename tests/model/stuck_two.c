/* SPDX-License-Identifier: MIT */
/*
 * stuck_two.c - two tasks of one worker are given up, one after the other, by
 * two threads.
 *
 * Edge: stuck (future/timer.c, worker/worker.h). A submitter who finds that the
 * deadline of his task came too early for the timekeeper ends it himself, and
 * may be slow: the worker is at its next task by then, which the timekeeper
 * ends. It is for that one that the worker counts as stuck.
 */
#include "submit_client.h"

static struct sh_run runs[3];
static _Atomic bool done[3]; /* with ending a task */

static void *runner(void *unused)
{
    (void)unused;
    be_worker();
    sh_here.seat = own_seat();
    (void)sh_worker_begins(&worker, &runs[1]);
    sh_settle_running(&pool, &records[1], 0, 0);
    if (!sh_worker_begins(&worker, &runs[2]))
        return NULL;
    /* The code is at it for as long as that takes. acquire: stuck */
    if (!sh_load_acq(&done[1]) || !sh_load_acq(&done[2])) /* acquire: stuck */
        give_up();
    /* relaxed: what they have done is seen */
    if ((sh_load_rlx(&records[2].state) & SH_BUSY) != 0)
        assert(sh_post_is_off(&posts[0]));
    return NULL;
}

static void *ender(void *i)
{
    uintptr_t index = (uintptr_t)i;
    struct sh_work work = { 0 };

    end_at_deadline(&work, &pool, &records[index], GENERATION);
    sh_store_rel(&done[index], true); /* release: stuck */
    return NULL;
}

static void make_run(uint32_t i)
{
    make_record(i, SH_RUNNING | (uint64_t)SH_OWNER_WORKER(0) << 12,
                SH_KIND_TASK);
    records[i].where = "here";
    sh_record_bind(&records[i])->deadline_ns = 1;
    runs[i].record = &records[i];
    runs[i].index = i;
    runs[i].generation = GENERATION;
}

int main(void)
{
    pthread_t threads[3];

    make_pool_with_worker();
    make_time(0);
    make_run(1);
    make_run(2);
    threads[0] = thread_start(runner, NULL);
    threads[1] = thread_start(ender, (void *)1);
    threads[2] = thread_start(ender, (void *)2);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    return 0;
}
