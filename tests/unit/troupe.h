/* SPDX-License-Identifier: MIT */
/*
 * troupe.h - for tests with workers: a zygote, and an arena in which they tell
 * what they saw.
 */
#ifndef SHUNT_TESTS_TROUPE_H
#define SHUNT_TESTS_TROUPE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/atomic.h"
#include "memory/arena.h"
#include "process/zygote.h"

/* What the workers of a claim have, in its arena. */
struct scene {
    int (*act)(struct scene *s, unsigned worker);
    _Atomic uint32_t step; /* a futex */
    int number;
    pid_t pid, other;
    long seen[8];
    char text[256];
};

/* What the host of a claim has. */
struct troupe {
    struct sh_arena *arena;
    struct scene *scene;
    struct sh_zygote zygote;
    unsigned descriptors, children;
};

/* A seed if there is none. 0 or a code. */
int troupe_seed(void);

/* A zygote for t->arena whose workers act in t->scene. 0 or a code. */
int troupe_zygote(struct troupe *t, struct sh_zygote *z);

/* Make all that; 0, or the line of what failed. */
int troupe_open(struct troupe *t, int (*act)(struct scene *s, unsigned worker));

/* Everything, the seed included, ends, and all is as before: 0, or a line. */
int troupe_close(struct troupe *t);

/* The same, asserted. */
void troupe_begin(struct troupe *t,
                  int (*act)(struct scene *s, unsigned worker));
void troupe_end(struct troupe *t);

/* Fork a worker, wait for its end, reap it. 0, a line, or a code. */
int troupe_play(struct troupe *t, unsigned worker, struct sh_death *death);

/* Set the step, and wait for it. */
void scene_reach(struct scene *s, uint32_t step);
void scene_await(struct scene *s, uint32_t step);

/* Acts: reach step 1, and stay until one is killed; note number and pid, and
 * return 40 + worker. */
int scene_stay(struct scene *s, unsigned worker);
int scene_return(struct scene *s, unsigned worker);

#endif /* SHUNT_TESTS_TROUPE_H */
