/* SPDX-License-Identifier: MIT */
/*
 * sleep_groups.c - more workers than a word has bits for: two words.
 *
 * Edges: sleep, more (sync/sleep.c). Worker 0 searches, worker 32 sleeps, and
 * a submitter that reads one word after the other has two tasks.
 */
#define SH_SLEEP_GROUPS 2
#include "sleep_counted.h"

static void *searcher(void *unused)
{
    (void)unused;
    (void)get(SEARCHER);
    return NULL;
}

static void *sleeper(void *unused)
{
    (void)unused;
    (void)wake_up_and_get(SLEEPER);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    sh_sleep_init(&sleepers, bells, 0, 62, false);
    put_to_sleep(SLEEPER);
    one = thread_start(searcher, NULL);
    two = thread_start(sleeper, NULL);
    submit();
    submit();
    thread_join(one);
    thread_join(two);
    return 0;
}
