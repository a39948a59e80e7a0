/* SPDX-License-Identifier: MIT */
/*
 * sleep_wake.c - what only one worker can do.
 *
 * Edges: sleep, ring (sync/sleep.c). Worker 0 has a list that nobody else
 * reads, and is about to sleep when something comes on it. With -DBOTH it
 * sleeps already, as does worker 1, and a task is submitted as well: if its
 * submitter chooses worker 0, or counts on it, that one passes the task on.
 */
#include "sleep_counted.h"

static _Atomic uint32_t resumed;

static void *resumer(void *unused)
{
    (void)unused;
    sh_store_sc(&resumed, 1); /* seq_cst: sleep */
    sh_sleep_wake(&sleepers, 0);
    return NULL;
}

static void *only_one(void *unused)
{
    (void)unused;
#ifdef BOTH
    sh_sleep_wait(&sleepers, 0, INT64_MAX);
#else
    sh_sleep_search(&sleepers, 0);
#endif
    for (int i = 0; i < ROUNDS; i++) {
        if (sh_load_sc(&resumed) != 0) { /* seq_cst: sleep */
            if (sh_sleep_found(&sleepers, 0) && look())
                sh_sleep_notify(&sleepers);
            return NULL;
        }
        sh_sleep_announce(&sleepers, 0);
        if (sh_load_sc(&resumed) != 0) /* seq_cst: sleep */
            sh_sleep_withdraw(&sleepers, 0);
        else
            sh_sleep_wait(&sleepers, 0, INT64_MAX);
    }
    give_up();
    return NULL;
}

#ifdef BOTH
static void *other(void *unused)
{
    (void)unused;
    (void)wake_up_and_get(1);
    return NULL;
}
#endif

int main(void)
{
    pthread_t threads[3];

    sh_sleep_init(&sleepers, bells, 0, 2, false);
#ifdef BOTH
    put_to_sleep(0);
    put_to_sleep(1);
    threads[2] = thread_start(other, NULL);
#endif
    threads[0] = thread_start(only_one, NULL);
    threads[1] = thread_start(resumer, NULL);
#ifdef BOTH
    submit();
    thread_join(threads[2]);
#endif
    thread_join(threads[0]);
    thread_join(threads[1]);
    return 0;
}
