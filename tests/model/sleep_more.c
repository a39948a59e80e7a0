/* SPDX-License-Identifier: MIT */
/*
 * sleep_more.c - a worker searches, one sleeps, and two tasks never end.
 *
 * Edges: sleep, more (sync/sleep.c). The submitter of the second task may
 * count on the worker that searches, and that one find the first task: then
 * it has to wake the one that sleeps.
 */
#include "sleep_counted.h"

static void *searcher(void *unused)
{
    (void)unused;
    (void)get(0);
    return NULL;
}

static void *sleeper(void *unused)
{
    (void)unused;
    (void)wake_up_and_get(1);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    sh_sleep_init(&sleepers, bells, 0, 2, false);
    put_to_sleep(1);
    one = thread_start(searcher, NULL);
    two = thread_start(sleeper, NULL);
    submit();
    submit();
    thread_join(one);
    thread_join(two);
    return 0;
}
