/* SPDX-License-Identifier: MIT */
/*
 * split_fork.c - a deque goes from one shunt_fork to another, of another
 * worker, while a thief is at it.
 *
 * Edge: fork (worker/frames.c). What the deque is, but for its ends, is plain.
 * The thief asks and takes of whichever it finds: the run that its call works
 * for is that of the fork which has spawned it.
 */
#include "split_client.h"

static int arguments[2];
static struct sh_run *works_for[2];

SHUNT_FORK_VOID(call, int, i)
{
    assert(arguments[i] == i + 1);
    works_for[i] = sh_here.run->outer;
}

static void *owner(void *index)
{
    unsigned w = (unsigned)(uintptr_t)index;
    shunt_frame(call) frame;
    shunt_root_ root;
    shunt_slot_ *at;

    be_worker(w, &records[w]);
    arguments[w] = (int)w + 1;
    shunt_root_enter_(&root);
    at = root.at_;
    /* Who comes too early for the deque that there is, is not looked at. */
    __VERIFIER_assume(root.split_->deque_ != NULL);
    sh_split_ask(root.split_->deque_);
    call_spawn_(root.split_, &at, &frame, (int)w);
    call_sync_(root.split_, &at, &frame);
    assert(works_for[w] == NULL || works_for[w] == &runs[w]);
    shunt_root_leave_(&root);
    return NULL;
}

static void *thief(void *unused)
{
    (void)unused;
    be_worker(2, NULL);
    (void)steal_and_run(2);
    return NULL;
}

int main(void)
{
    pthread_t one, two, three;

    make_pool_of_workers();
    make_record(0, SH_RUNNING, SH_KIND_TASK);
    make_record(1, SH_RUNNING, SH_KIND_TASK);
    one = thread_start(owner, (void *)0);
    two = thread_start(owner, (void *)1);
    three = thread_start(thief, NULL);
    thread_join(one);
    thread_join(two);
    thread_join(three);
    return 0;
}
