/* SPDX-License-Identifier: MIT */
/*
 * sleep_client.h - a worker's loop as sync/sleep.h prescribes it.
 *
 * A client gives it two functions over whatever queues it has: find takes a
 * task, look says whether there is one. A thread that gets a task does not
 * come back, as if the task never ended, so that nobody may count on it; there
 * are as many tasks as gets, and the claim is that every get returns. One
 * that sleeps while a task is left is a liveness violation.
 */
#ifndef SH_MODEL_SLEEP_CLIENT_H
#define SH_MODEL_SLEEP_CLIENT_H

#ifndef SH_SLEEP_GROUPS
#define SH_SLEEP_GROUPS 1
#endif
#include "client.h"
#include "futex.h"

#include "../../runtime/sync/sleep.c"

#ifndef ROUNDS
#define ROUNDS 4 /* searches before a worker gives up */
#endif

#define WORKERS_MAX (SH_SLEEP_GROUPS * 32)

static struct sh_bell bells[WORKERS_MAX];
static struct sh_sleep sleepers;

static bool find(uint64_t *hint_out);
static bool look(void);

/* Worker w searches and sleeps until it has found a task. */
static uint64_t search(unsigned w)
{
    uint64_t hint = 0;

    for (int i = 0; i < ROUNDS; i++) {
        if (find(&hint)) {
            if (sh_sleep_found(&sleepers, w) && look())
                sh_sleep_notify(&sleepers);
            return hint;
        }
        sh_sleep_announce(&sleepers, w);
        if (look())
            sh_sleep_withdraw(&sleepers, w);
        else
            sh_sleep_wait(&sleepers, w, INT64_MAX);
    }
    give_up();
    return 0;
}

/* The same for a worker that was busy. */
static inline uint64_t get(unsigned w)
{
    sh_sleep_search(&sleepers, w);
    return search(w);
}

/* The same for a worker that is asleep, put_to_sleep before it was started. */
static inline uint64_t wake_up_and_get(unsigned w)
{
    sh_sleep_wait(&sleepers, w, INT64_MAX);
    return search(w);
}

static inline void put_to_sleep(unsigned w)
{
    sh_sleep_search(&sleepers, w);
    sh_sleep_announce(&sleepers, w);
}

#endif /* SH_MODEL_SLEEP_CLIENT_H */
