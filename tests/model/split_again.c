/* SPDX-License-Identifier: MIT */
/*
 * split_again.c - two calls after each other in the same slot, each of which
 * may be taken: a thief that comes late runs none that is over.
 *
 * Edges: publish (queue/split.c), taken, ran (worker/frames.c). All the ends
 * may be as they were when the thief looked. With -DSETTLED_BEFORE the task of
 * a taken call has been settled by somebody else, as a shutdown may do, so that
 * only the frame tells that it has run.
 */
#include "split_client.h"

#ifndef CALLS
#define CALLS 2
#endif

static int arguments[CALLS], results[CALLS];

SHUNT_FORK(int, call, int, i)
{
    assert(arguments[i] == i + 1);
    assert(results[i]++ == 0);
    return i + 10;
}

SHUNT_FORK_VOID(work, int, calls)
{
    struct sh_split *s = sh_split_->deque_;

    for (int i = 0; i < calls; i++) {
        shunt_frame(call) frame;

        sh_split_ask(s);
        arguments[i] = i + 1;
        shunt_spawn(call, frame, i);
        assert(shunt_sync(call, frame) == i + 10);
        assert(results[i] == 1);
        assert(sh_load_rlx(&s->ends) == 0); /* relaxed: nothing is public */
    }
}

static void *thief(void *w)
{
    unsigned index = (unsigned)(uintptr_t)w;

    be_worker(index, NULL);
    (void)steal_and_run(index);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_of_workers();
    be_worker(0, make_record(0, SH_RUNNING, SH_KIND_TASK));
    one = thread_start(thief, (void *)1);
    two = thread_start(thief, (void *)2);
    shunt_fork(work, CALLS);
    thread_join(one);
    thread_join(two);
    for (int i = 0; i < CALLS; i++)
        assert(results[i] == 1);
    return 0;
}
