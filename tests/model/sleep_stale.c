/* SPDX-License-Identifier: MIT */
/*
 * sleep_stale.c - a bell rings late: for a sleep that the worker gave up.
 *
 * Edges: sleep, ring (sync/sleep.c). Two submitters and one worker, which
 * gets two tasks one after the other: the waker of the first may ring when
 * the worker is about to sleep for the second time, and its ring must neither
 * be taken for the second waker's nor be cleared together with that one. With
 * -DWAKE what comes is for this worker alone, and wakes it by name.
 */
#include "sleep_counted.h"

static void *submitter(void *unused)
{
    (void)unused;
#ifdef WAKE
    sh_add_sc(&queued, 1); /* seq_cst: sleep */
    sh_sleep_wake(&sleepers, 0);
#else
    submit();
#endif
    return NULL;
}

static void *worker(void *unused)
{
    (void)unused;
    (void)get(0);
    (void)get(0);
    return NULL;
}

int main(void)
{
    pthread_t threads[3];

    sh_sleep_init(&sleepers, bells, 0, 1, false);
    threads[0] = thread_start(worker, NULL);
    threads[1] = thread_start(submitter, NULL);
    threads[2] = thread_start(submitter, NULL);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    return 0;
}
