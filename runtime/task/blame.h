/* SPDX-License-Identifier: MIT */
/*
 * task/blame.h - why a pool is broken: the first who broke it says so.
 *
 * Idea. A process that dies as it says so must leave nothing half said. What a
 * worker has to say, that its .init returned something, is one word. Only the
 * host has more to say, and its death ends the pool.
 *
 * Edges.
 *   broken   worker/run.c: write blame, before broken -> find: read blame
 */
#ifndef SH_TASK_BLAME_H
#define SH_TASK_BLAME_H

#include "task/pool.h"

struct sh_blame {
    const char *text; /* NULL: what follows */
    unsigned worker;  /* whose .init */
    int returned;     /* has returned that */
};

/* Room for any sentence that put makes. */
#define SH_BLAME_BYTES (SH_BLAMED + 64)

/* The pool is broken: .init has returned that in a worker. Any process. */
void sh_blame_init(struct sh_pool *pool, unsigned worker, int returned);

/* The pool is broken, for that reason. Of the host, one thread alone. */
void sh_blame_tell(struct sh_pool *pool, const char *format, ...)
    SHUNT_PRINTF_(2, 3);

/* Why the pool is broken; false if it is not. */
bool sh_blame_find(struct sh_pool *pool, struct sh_blame *blame_out);

/* The same as the sentence of SHUNT_EBROKEN goes on, in SH_BLAME_BYTES at to;
 * NULL if it is not broken. */
const char *sh_blame_put(struct sh_pool *pool, char *to);

#endif /* SH_TASK_BLAME_H */
