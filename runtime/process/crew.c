/* SPDX-License-Identifier: MIT */
/*
 * process/crew.c - pools whose workers are processes, as worker/pool.c makes
 * them; and the seed that all of them grow from.
 *
 * Edges.
 *   guests   future/notice.c
 */
#include <errno.h>

#include "future/value.h"
#include "memory/arena.h"
#include "memory/known.h"
#include "process/limit.h"
#include "process/seed.h"
#include "process/warden.h"
#include "worker/worker.h"

/* What a pool takes of the range of addresses: little is ever touched. */
#define ARENA_MOST ((size_t)64 << 30)
#define ARENA_LEAST ((size_t)64 << 20)

/* Where addresses are limited, one pool does not take all: its share of the
 * range, or a gigabyte, but never more than a quarter. */
#define ARENA_SHARES 256
#define ARENA_FAIR ((size_t)1 << 30)

static size_t arena_most(void)
{
    size_t range = sh_range_bytes(), most = range / ARENA_SHARES;

    if (most < ARENA_FAIR)
        most = range / 4 < ARENA_FAIR ? range / 4 : ARENA_FAIR;
    return most < ARENA_MOST ? most : ARENA_MOST;
}

static const char no_memory[] = "out of memory";

static int prepare(const shunt_options *options, struct sh_arena **arena_out,
                   const char **why_out)
{
    int rc;

    *why_out = no_memory;
    /* A task may fork: then its child must know that it is none of ours. */
    if (!sh_forks_count())
        return SHUNT_ENOMEM;
    rc = sh_seed_start(options->fork_with_threads, why_out);
    if (rc != 0)
        return rc;
    if (options->worker_bytes_max > 0 && sh_limit_used() == 0) {
        *why_out = ".worker_bytes_max needs /proc/self/status, which cannot be "
                   "read";
        return SHUNT_ENOTSUP;
    }
    *why_out = "no addresses are left for the pool's memory";
    *arena_out = sh_arena_new(ARENA_LEAST, arena_most());
    return *arena_out != NULL ? 0 : SHUNT_ENOMEM;
}

/* Set up all that are processes, each with a stack for its loop at least, so
 * that whatever there is no more room for later is an error of a task. */
static bool prepare_workers(struct sh_pool *pool)
{
    for (unsigned i = 0; i < sh_lanes_end(pool); i++) {
        if (i == pool->workers) /* of the host */
            continue;
        if (!sh_stacks_reserve(&sh_worker_prepare(pool, i)->stacks))
            return false;
    }
    return true;
}

static int start(struct sh_pool *pool, const char **why_out)
{
    struct sh_known *known =
        sh_arena_map(pool->arena, sizeof *known, SH_PAGES_RW);
    int rc;

    *why_out = no_memory;
    if (known == NULL)
        return SHUNT_ENOMEM;
    sh_seed_known(known);
    pool->known = known;
    *why_out = ".stack_bytes is more than the pool's memory has addresses for, "
               "with a stack for each worker, and as many for exclusive tasks";
    if (!prepare_workers(pool))
        return SHUNT_ENOMEM;
    *why_out = "a thread could not be started";
    /* It does what the workers leave to the host, timers or not. */
    if (sh_timekeeper_start(pool) != 0)
        return SHUNT_ENOMEM;
    rc = sh_warden_start(pool, why_out);
    if (rc != 0)
        sh_timekeeper_stop(pool);
    return rc;
}

static void join(struct sh_pool *pool)
{
    (void)pool; /* whoever is of the host was waited for as well */
}

const struct sh_crew sh_crew_of_processes = { .prepare = prepare,
                                              .start = start,
                                              .reap = sh_warden_join,
                                              .join = join,
                                              .relieve = sh_warden_relieve };

/* -- an auto pool: both -- */

static void relieve_both(struct sh_pool *pool)
{
    sh_warden_relieve(pool);
    if (sh_load_sc(&pool->guests) == SH_GUESTS_HERE) /* seq_cst: guests */
        sh_worker_replace(pool);
}

const struct sh_crew sh_crew_of_both = { .prepare = prepare,
                                         .start = start,
                                         .reap = sh_warden_join,
                                         .join = sh_threads_join,
                                         .relieve = relieve_both };

int shunt_init(void)
{
    const char *why = no_memory;
    int rc = SHUNT_ENOMEM;

    if (sh_self()->served != NULL)
        return sh_refuse(SHUNT_ENOTSUP, "a worker process makes no pools");
    if (sh_forks_count())
        rc = sh_seed_start(false, &why);
    return rc == 0 ? 0 : sh_refuse(rc, why);
}
