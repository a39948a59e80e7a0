/* SPDX-License-Identifier: MIT */
/*
 * task/unobserved.h - what a pool does with a failure that nobody has looked
 * at, unless its options say otherwise.
 *
 * A pool has a pointer to its hook. This one makes text, which only the last
 * layer does: see observe/unobserved.c.
 */
#ifndef SH_TASK_UNOBSERVED_H
#define SH_TASK_UNOBSERVED_H

#include "task/pool.h"

/* The hook: a line on standard error, if there is room. arg is the pool. */
void sh_unobserved_print(const shunt_error *error, void *arg);

/* Say how many lines there was no room for: the pool goes. */
void sh_unobserved_end(struct sh_pool *pool);

#endif /* SH_TASK_UNOBSERVED_H */
