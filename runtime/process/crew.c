/* SPDX-License-Identifier: MIT */
/*
 * process/crew.c - pools whose workers are processes, as worker/pool.c makes
 * them; and the seed that all of them grow from.
 */
#include <errno.h>

#include "memory/arena.h"
#include "process/limit.h"
#include "process/seed.h"
#include "process/warden.h"
#include "worker/worker.h"

/* What a pool takes of the range of addresses: little is ever touched. */
#define ARENA_MOST ((size_t)64 << 30)
#define ARENA_LEAST ((size_t)64 << 20)

static int prepare(const shunt_options *options, struct sh_arena **arena_out)
{
    const char *why;
    int rc;

    /* A task may fork: then its child must know that it is none of ours. */
    if (!sh_forks_count())
        return SHUNT_ENOMEM;
    rc = sh_seed_start(options->fork_with_threads, &why);
    if (rc != 0)
        return rc;
    /* A worker could not be limited. */
    if (options->worker_bytes_max > 0 && sh_limit_used() == 0)
        return SHUNT_ENOTSUP;
    *arena_out = sh_arena_new(ARENA_LEAST, ARENA_MOST);
    return *arena_out != NULL ? 0 : SHUNT_ENOMEM;
}

static int start(struct sh_pool *pool)
{
    int rc;

    /* It does what the workers leave to the host, timers or not. */
    if (sh_timekeeper_start(pool) != 0)
        return SHUNT_ENOMEM;
    rc = sh_warden_start(pool);
    if (rc != 0)
        sh_timekeeper_stop(pool);
    return rc;
}

const struct sh_crew sh_crew_of_processes = { .prepare = prepare,
                                              .start = start,
                                              .join = sh_warden_join,
                                              .relieve = sh_warden_relieve };

int shunt_init(void)
{
    const char *why;

    if (sh_served != NULL)
        return SHUNT_ENOTSUP;
    return sh_forks_count() ? sh_seed_start(false, &why) : SHUNT_ENOMEM;
}
