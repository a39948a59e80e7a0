/* SPDX-License-Identifier: MIT */
/*
 * told.h - a hook for unobserved failures that notes what it is told, and a
 * pool that has it.
 */
#ifndef SHUNT_TESTS_TOLD_H
#define SHUNT_TESTS_TOLD_H

#include <pthread.h>

#include "stage.h"

enum {
    TOLD_MAX = 64
};

/* What the hook was told. */
struct told {
    pthread_mutex_t lock;
    unsigned count;
    int codes[TOLD_MAX]; /* task_code, or code if that is 0 */
    size_t causes[TOLD_MAX];
    char task[64];   /* of the last */
    unsigned inside; /* how often it was called in a task */
    shunt_pool *pool;
    void (*also)(struct told *); /* called by the hook, NULL: nothing is */
};

/* A pool whose hook that is. */
struct told *told_pool(int workers);
/* The same with a clock that stage_advance moves. */
struct told *told_manual_pool(int workers);

unsigned told_count(struct told *told);

/* Drain the pool, and leave it. */
void told_drain(struct told *told);

/* Free the pool; count failures were told until then, no more and no less, and
 * none of them in a task. */
void assert_told(struct told *told, unsigned count);

#endif /* SHUNT_TESTS_TOLD_H */
