/* SPDX-License-Identifier: MIT */
/*
 * unit/pool_of_one.h - a pool of one worker for each test: what the user holds
 * and what the runtime sees. For one source file of a program.
 */
#ifndef SH_UNIT_POOL_OF_ONE_H
#define SH_UNIT_POOL_OF_ONE_H

/* Above the variables: its parameters have their names. */
#include "shunt/pool.h"
#include "task/handle.h"

static shunt_pool *name;
static struct sh_pool *pool;

/* cmocka's setup and teardown. */
static inline int pool_make(void **state)
{
    (void)state;
    if (shunt_pool_new(&name,
                       &(shunt_options){ .workers = 1,
                                         .unobserved =
                                             shunt_unobserved_ignore }) != 0)
        return -1;
    return sh_pool_find(name, &pool);
}

static int pool_free(void **state)
{
    (void)state;
    return shunt_pool_free(name);
}

#endif /* SH_UNIT_POOL_OF_ONE_H */
