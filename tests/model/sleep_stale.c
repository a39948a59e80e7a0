/* SPDX-License-Identifier: MIT */
/*
 * sleep_stale.c - a bell rings late: for a sleep that the worker gave up.
 *
 * Edges: sleep, ring (sync/sleep.c). Two submitters and one worker, which
 * gets two tasks one after the other: the waker of the first may ring when
 * the worker is about to sleep for the second time, and its ring must neither
 * be taken for the second waker's nor be cleared together with that one.
 */
#include "sleep_counted.h"

static void *submitter(void *unused)
{
    (void)unused;
    submit();
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

    sh_sleep_init(&sleepers, bells, 1, false);
    threads[0] = start(worker, NULL);
    threads[1] = start(submitter, NULL);
    threads[2] = start(submitter, NULL);
    for (int i = 0; i < 3; i++)
        finish(threads[i]);
    return 0;
}
