/* SPDX-License-Identifier: MIT */
/*
 * split_sleep.c - a worker that finds nothing to take asks for something and
 * sleeps: what is spawned afterwards, it gets.
 *
 * Edge: sleep (queue/split.c, worker/frames.c, sync/sleep.c). The owner works
 * until it has been asked, and then spawns a call that is never synced: whoever
 * sleeps beside that, or has asked in vain, does so for ever. Before that
 *   -DAGAIN   the owner spawns a call, and syncs it at once: with the call it
 *             takes back what the other has just asked for
 *   -DENTER   the owner's shunt_fork begins while the other looks around
 */
#include "split_client.h"

static int arguments[2];
static unsigned ran_by[2]; /* worker, by 1; of 0, who has the deque: 1 */

SHUNT_FORK_VOID(call, int, i)
{
    assert(arguments[i] == i + 1);
    assert(ran_by[i] == 0);
    ran_by[i] = sh_worker_here()->index + 1;
}

static void wait_until_asked(shunt_split_ *split)
{
    uintptr_t limit;
    bool over;

    __VERIFIER_loop_begin();
    do {
        __VERIFIER_spin_start();
        limit = sh_load_bare_rlx(&split->limit_); /* relaxed: a wish */
        over = sh_load_rlx(&given_up); /* relaxed: the checker's own */
        __VERIFIER_spin_end(limit == 0 || over);
    } while (limit != 0 && !over);
    __VERIFIER_assume(!over);
}

/* A worker's loop, as far as it goes until it has taken a call. */
static void *thief(void *unused)
{
    const unsigned w = 1;
    struct sh_sleep *s = &pool.camps[0].sleep;

    (void)unused;
    be_worker(w, NULL);
    sh_sleep_search(s, w);
    for (int i = 0; i < 3; i++) {
        if (sh_frames_steal(&workers[w], 0) != 0) {
            if (sh_sleep_found(s, w) &&
                sh_frames_offered(&pool, &pool.camps[0]))
                sh_sleep_notify(s);
            sh_frames_run(&workers[w]);
            return NULL;
        }
        sh_sleep_announce(s, w);
        if (sh_frames_offered(&pool, &pool.camps[0]))
            sh_sleep_withdraw(s, w);
        else
            sh_sleep_wait(s, w, INT64_MAX);
    }
    give_up();
    return NULL;
}

int main(void)
{
    shunt_frame(call) first, last;
    pthread_t one;
    shunt_root_ root;
    shunt_slot_ *at;

    make_pool_of_workers();
    be_worker(0, make_record(0, SH_RUNNING, SH_KIND_TASK));
    arguments[0] = 1;
    arguments[1] = 2;
#ifndef ENTER
    shunt_root_enter_(&root);
#endif
    one = thread_start(thief, NULL);
#ifdef ENTER
    shunt_root_enter_(&root);
#endif
    at = root.at_;
    (void)first;
#ifdef AGAIN
    wait_until_asked(root.split_);
    call_spawn_(root.split_, &at, &first, 0);
    call_sync_(root.split_, &at, &first);
    if (ran_by[0] != 1) {
        thread_join(one);
        return 0;
    }
#endif
    wait_until_asked(root.split_);
    call_spawn_(root.split_, &at, &last, 1);
    thread_join(one);
    assert(ran_by[1] > 1);
    return 0;
}
