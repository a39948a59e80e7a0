/* SPDX-License-Identifier: MIT */
/*
 * worker/pool.c - making a pool, and taking it apart.
 *
 * Edges.
 *   ended    a worker's thread: lower alive -> the one that frees the pool
 *   stop     write stop, then read the sleepers' word || worker/loop.c: set
 *            idle, then read stop; all seq_cst: one sees the other
 *   quiet    future/settle.c
 */
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "future/retry.h"
#include "future/timer.h"
#include "future/value.h"
#include "memory/arena.h"
#include "sync/futex.h"
#include "task/unobserved.h"
#include "worker/blocking.h"
#include "worker/sample.h"

#ifdef SH_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#define SIDE_SLOTS 4096u
#define ITEMS_LEAST 4096u /* that a table must have addresses for */

/* Limits on address space are common, and the host has a use for it, too: a
 * table takes a sixteenth at most. And valgrind, when it looks for leaks, reads
 * whatever is mapped. */
static size_t table_bytes_max(void)
{
    struct rlimit limit;

#ifdef SH_TABLE_BYTES_MAX
    /* For emulators, which keep a word for every page that was ever mapped. */
    return SH_TABLE_BYTES_MAX;
#endif
    if (RUNNING_ON_VALGRIND)
        return (size_t)32 << 20;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return limit.rlim_cur / 16;
}

static bool reserve(struct sh_table *t, struct sh_arena *arena, size_t stride,
                    size_t link_at, size_t chain_at)
{
    size_t bytes_max = table_bytes_max();

    /* An arena is used for much else. */
    if (arena != NULL && bytes_max > arena->bytes / 32)
        bytes_max = arena->bytes / 32;
    for (uint32_t n = SH_INDEX_MAX; n >= ITEMS_LEAST; n /= 2)
        if ((stride * n <= bytes_max || n == ITEMS_LEAST) &&
            sh_table_init(t, arena, stride, link_at, chain_at, n))
            return true;
    return false;
}

static bool make_tables(struct sh_pool *pool)
{
    struct sh_arena *a = pool->arena;

    return reserve(&pool->records, a, sizeof(struct sh_record),
                   offsetof(struct sh_record, link),
                   offsetof(struct sh_record, edges)) &&
           reserve(&pool->aliases, a, sizeof(struct sh_alias),
                   offsetof(struct sh_alias, link),
                   offsetof(struct sh_alias, chain)) &&
           reserve(&pool->edges, a, sizeof(struct sh_edge),
                   offsetof(struct sh_edge, next),
                   offsetof(struct sh_edge, dead_next)) &&
           reserve(&pool->cells, a, sizeof(struct sh_cell),
                   offsetof(struct sh_cell, link),
                   offsetof(struct sh_cell, chain));
}

/* The timers of records and, where no futex knows the time, of cells. */
static bool make_timers(struct sh_pool *pool)
{
    size_t n = 2 * (size_t)pool->records.capacity +
               (pool->time.manual ? pool->cells.capacity : 0);

    pool->timers_bytes = n * sizeof(struct sh_timer);
    pool->timers =
        sh_arena_map(pool->arena, pool->timers_bytes, SH_PAGES_RESERVE);
    return pool->timers != NULL;
}

static size_t ring_slots(size_t queue_max)
{
    size_t slots = 64;

    /* Twice, since hints of what was cancelled take room too. */
    while (slots < 2 * queue_max)
        slots *= 2;
    return slots;
}

static bool make_rings(struct sh_pool *pool, size_t slots)
{
    for (unsigned c = 0; c <= pool->mixed; c++) {
        struct sh_cell_of_ring *cells = sh_arena_map(
            pool->arena, (slots + SIDE_SLOTS) * sizeof *cells, SH_PAGES_TABLE);

        if (cells == NULL)
            return false;
        sh_ring_init(&pool->camps[c].ring, cells, slots);
        sh_ring_init(&pool->camps[c].side, cells + slots, SIDE_SLOTS);
    }
    return true;
}

static void free_rings(struct sh_pool *pool)
{
    for (unsigned c = 0; c <= pool->mixed; c++) {
        struct sh_ring *ring = &pool->camps[c].ring;

        if (ring->cells != NULL)
            sh_arena_unmap(pool->arena, ring->cells,
                           (ring->capacity + SIDE_SLOTS) *
                               sizeof(struct sh_cell_of_ring));
    }
}

/* Which posts are whose: the workers, and who stands in for them; processes,
 * one place for the host, lanes, and who stands in for processes; and of an
 * auto pool threads behind those. */
static void place_camps(struct sh_pool *pool, const shunt_options *o)
{
    struct sh_camp *own = &pool->camps[SH_OWN_CAMP];
    struct sh_camp *host = &pool->camps[SH_HOST_CAMP];
    unsigned spares = (unsigned)(o->spares + o->blocking_max);

    own->spare = pool->shared ? pool->workers + 1 + pool->workers
                              : pool->workers;
    own->end = own->spare + (pool->shared ? (unsigned)o->blocking_max : spares);
    host->first = host->spare = host->end = own->end;
    if (pool->mixed) {
        host->spare += pool->workers;
        host->end = host->spare + spares;
    }
    own->pool = host->pool = pool;
    sh_store_rlx(&own->limit, o->queue_max);  /* relaxed: still ours */
    sh_store_rlx(&host->limit, o->queue_max); /* relaxed: still ours */
    sh_store_rlx(&pool->active, pool->workers); /* relaxed: still ours */
    sh_store_rlx(&pool->active_guests, host->first); /* relaxed: still ours */
}

/* Bells, the team with its workers, and posts, in one mapping: what is small
 * comes first, so that it shares few pages with the first posts. */
static size_t before_posts(size_t n)
{
    size_t bytes = n * sizeof(struct sh_bell) + sizeof(struct sh_team) +
                   n * sizeof(struct sh_worker);

    return (bytes + SH_LINE - 1) / SH_LINE * SH_LINE;
}

void sh_worker_place(struct sh_pool *pool, unsigned i)
{
    struct sh_worker *w = &pool->team->workers[i];

    if (w->pool != NULL)
        return;
    w->pool = pool;
    w->index = i;
    w->camp = sh_camp_at(pool, i);
    w->post = &pool->posts[i];
}

static bool make_team(struct sh_pool *pool, const shunt_options *o)
{
    size_t n = pool->camps[SH_HOST_CAMP].end;
    char *at = sh_arena_map(pool->arena,
                            before_posts(n) + n * sizeof(struct sh_post),
                            SH_PAGES_RESERVE);

    if (at == NULL)
        return false;
    pool->posts = (struct sh_post *)(void *)(at + before_posts(n));
    /* Who stands in is admitted when he is started. */
    for (unsigned c = 0; c < SH_CAMPS; c++)
        sh_sleep_init(&pool->camps[c].sleep,
                      (struct sh_bell *)(void *)at + pool->camps[c].first,
                      pool->camps[c].first,
                      pool->camps[c].spare - pool->camps[c].first,
                      pool->shared);
    pool->team = (struct sh_team *)(void *)(at + n * sizeof(struct sh_bell));
    pool->team->workers = (struct sh_worker *)(void *)(pool->team + 1);
    pool->team->count = (unsigned)n;
    pool->team->spares = (unsigned)o->spares;
    pool->team->blocking_max = (unsigned)o->blocking_max;
    sh_blocking_init(pool);
    sh_store_rlx(&pool->team->alive, 1); /* relaxed: still ours */
    /* All of them, since whoever looks at all posts may see one as it starts.
     * The memory of who stands in is touched when somebody does. */
    for (unsigned c = 0; c <= pool->mixed; c++)
        for (unsigned i = pool->camps[c].first; i < pool->camps[c].spare; i++) {
            sh_worker_place(pool, i);
            if (pool->shared && i >= pool->workers)
                sh_post_close(&pool->posts[i]); /* until somebody is started */
        }
    pthread_mutex_init(&pool->team->repair, NULL);
    pool->team->host = getpid();
    pthread_sigmask(SIG_SETMASK, NULL, &pool->team->signals);
    pool->team->slack_ns = prctl(PR_GET_TIMERSLACK);
    pool->team->init = o->init;
    pool->team->init_arg = o->init_arg;
    pool->team->stack_bytes = o->stack_bytes;
    pool->team->worker_tasks_max = o->worker_tasks_max;
    pool->team->worker_bytes_max = o->worker_bytes_max;
    snprintf(pool->team->name, sizeof pool->team->name, "%s", o->name);
    return true;
}

static void free_team(struct sh_pool *pool)
{
    size_t n;

    if (pool->posts != NULL) {
        n = pool->team->count;
        sh_arena_unmap(pool->arena, (char *)pool->posts - before_posts(n),
                       before_posts(n) + n * sizeof(struct sh_post));
    }
}

/* While all that they lead to is still there. */
static void report_records(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);

    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);
        uint64_t w = sh_load_acq(&r->state); /* acquire: ended */

        if (sh_phase_of(w) == SH_DONE && sh_outcome_of(w) != 0)
            sh_report_unseen(pool, r, w);
    }
    if (pool->unobserved == sh_unobserved_print)
        sh_unobserved_end(pool);
}

static void free_records(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);

    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);

        /* acquire: ended */
        if (sh_phase_of(sh_load_acq(&r->state)) == SH_FREE)
            continue;
        /* relaxed: nobody else is left */
        if (sh_load_rlx(&r->kind) == SH_KIND_RETRY)
            sh_retry_wreck(pool, r);
        sh_record_wreck(pool, r);
    }
}

void sh_pool_destroy(struct sh_pool *pool)
{
    bool whole = pool->records.items != NULL && pool->posts != NULL;

    if (whole) {
        report_records(pool);
        free_records(pool);
    }
    sh_seats_clear(pool);
    sh_frames_free(pool);
    sh_sample_fini(pool);
    free_rings(pool);
    sh_table_fini(&pool->records);
    sh_table_fini(&pool->aliases);
    sh_table_fini(&pool->edges);
    sh_table_fini(&pool->cells);
    if (pool->timers != NULL)
        sh_arena_unmap(pool->arena, pool->timers, pool->timers_bytes);
    if (whole)
        sh_heap_fini(&pool->heap);
    free_team(pool);
    if (pool->heap.slices != NULL)
        sh_slices_leave(pool->heap.slices);
    if (pool->arena != NULL)
        sh_arena_free(pool->arena);
    else
        sh_pages_unmap(pool, sizeof *pool);
}

/* Futures and handles count for the limit of memory, too. What waits for them
 * does not: a program at its limit must be able to wait for room. */
static void charge_tables(struct sh_pool *pool)
{
    pool->records.heap = &pool->heap;
    pool->aliases.heap = &pool->heap;
}

/* Values, errors and memory of users are for all processes of the pool. */
static bool share_heap(struct sh_pool *pool)
{
    struct sh_slices *s = sh_slices_new(pool->arena, pool->arena->bytes / 2);

    if (s == NULL || !sh_slices_join(s, SH_OWNER_HOST))
        return false;
    sh_heap_share(&pool->heap, s);
    return true;
}

static bool make_figures(struct sh_pool *pool)
{
    pool->scattered = pool->mixed && sh_options_scatter();
    return sh_sample_init(pool, pool->team->count);
}

static struct sh_pool *pool_new(const shunt_options *o, bool checks,
                                struct sh_arena *arena)
{
    struct sh_pool *pool = sh_arena_map(arena, sizeof *pool, SH_PAGES_RW);
    bool figures = sh_options_figures(o) > 0;

    if (pool == NULL) {
        if (arena != NULL)
            sh_arena_free(arena);
        return NULL;
    }
    pool->arena = arena;
    pool->shared = arena != NULL;
    pool->mixed = o->mode == SHUNT_AUTO;
    pool->workers = (unsigned)o->workers;
    place_camps(pool, o);
    pool->cpus = (unsigned)sh_cpus();
    if (pool->cpus > pool->workers)
        pool->cpus = pool->workers;
    pool->time.manual = o->manual_clock;
    pool->time.start = sh_timekeeper_start;
    sh_store_rlx(&pool->time.wake_ns, INT64_MIN); /* relaxed: still ours */
    pool->allow_unsafe = o->allow_unsafe;
    pool->checks_pointers = checks;
    pool->queue_max = o->queue_max;
    pool->unobserved = o->unobserved != NULL ? o->unobserved
                                             : sh_unobserved_print;
    pool->unobserved_arg = o->unobserved != NULL ? o->unobserved_arg : pool;
    if (!make_tables(pool) || !make_timers(pool) ||
        !make_rings(pool, ring_slots(o->queue_max)) || !make_team(pool, o) ||
        (figures && !make_figures(pool)) ||
        !sh_heap_init(&pool->heap, o->arena_bytes, pool->checks_pointers)) {
        if (pool->posts != NULL) { /* only the heap is missing */
            free_team(pool);
            pool->posts = NULL;
        }
        sh_pool_destroy(pool);
        return NULL;
    }
    charge_tables(pool);
    if (arena != NULL && !share_heap(pool)) {
        sh_pool_destroy(pool);
        return NULL;
    }
    return pool;
}

/* Tell the workers to end. */
static void stop(struct sh_pool *pool)
{
    struct sh_team *team = pool->team;

    sh_store_sc(&team->stop, 1); /* seq_cst: stop */
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        sh_sleep_wake(&sh_camp_at(pool, i)->sleep, i);
    sh_standins_rouse(pool);
}

void sh_threads_join(struct sh_pool *pool)
{
    struct sh_team *team = pool->team;
    unsigned first = sh_host_camp(pool)->first;

    for (unsigned i = 0; i < team->started && !team->joined; i++)
        pthread_join(team->workers[first + i].thread, NULL);
    team->joined = true;
}

static int prepare(const shunt_options *options, struct sh_arena **arena_out,
                   const char **why_out)
{
    (void)options;
    (void)why_out;
    *arena_out = NULL;
    return 0;
}

static int start(struct sh_pool *pool, const char **why_out)
{
    unsigned first = pool->camps[SH_OWN_CAMP].first;
    int rc = 0;

    *why_out = "a thread could not be started";
    if (pool->profiles != NULL && sh_timekeeper_start(pool) != 0)
        return SHUNT_ENOMEM;
    for (unsigned i = 0; i < pool->workers && rc == 0; i++) {
        rc = sh_worker_start(pool, first + i);
        pool->team->started += rc == 0;
    }
    if (rc != 0) {
        if (pool->team->workers[first + pool->team->started].fiber == NULL)
            *why_out = "the system has no memory for a stack of .stack_bytes";
        if (!pool->shared)
            sh_timekeeper_stop(pool);
        stop(pool);
        sh_threads_join(pool);
    }
    return rc;
}

static void reap(struct sh_pool *pool)
{
    (void)pool;
}

const struct sh_crew sh_crew_of_threads = { .prepare = prepare,
                                            .start = start,
                                            .reap = reap,
                                            .join = sh_threads_join,
                                            .relieve = sh_worker_replace };

/* Make the pool that resolved options ask for: 0, or SHUNT_E* and why. */
static int build(const shunt_options *o, bool checks, struct sh_pool **pool_out,
                 const char **why_out)
{
    const struct sh_crew *crew = o->mode == SHUNT_THREADS ? &sh_crew_of_threads
                                 : o->mode == SHUNT_AUTO  ? &sh_crew_of_both
                                                 : &sh_crew_of_processes;
    struct sh_arena *arena = NULL;
    struct sh_pool *pool;
    int rc = crew->prepare(o, &arena, why_out);

    if (rc != 0)
        return rc;
    pool = pool_new(o, checks, arena);
    *why_out = NULL;
    if (pool == NULL)
        return SHUNT_ENOMEM;
    pool->team->crew = crew;
    if (!sh_registry_add(pool)) {
        *why_out = "there are 4,095 pools";
        sh_pool_destroy(pool);
        return SHUNT_EAGAIN;
    }
    rc = crew->start(pool, why_out);
    if (rc != 0) {
        sh_registry_remove(pool);
        sh_pool_destroy(pool);
    }
    *pool_out = pool;
    return rc;
}

int shunt_pool_new_sized(shunt_pool **pool_out, size_t options_size,
                         const shunt_options *options)
{
    shunt_options o;
    struct sh_pool *pool;
    const char *why = NULL;
    int rc, checks;

    if (pool_out == NULL)
        return sh_refuse(SHUNT_EINVAL, "there is no place to put the pool");
    if (sh_self()->served != NULL)
        return sh_refuse(SHUNT_ENOTSUP, "a worker process makes no pools");
    rc = sh_options_resolve(options, options_size, &o, &checks, &why);
    if (rc == 0)
        rc = build(&o, checks != 0, &pool, &why);
    if (rc != 0)
        return sh_refuse(rc, why);
    *pool_out = pool->name;
    return 0;
}

int shunt_pool_workers(shunt_pool *name)
{
    struct sh_pool *pool;
    int rc = sh_pool_find(name, &pool);

    return rc != 0 ? rc : (int)pool->workers;
}

int shunt_pool_mode(shunt_pool *name)
{
    struct sh_pool *pool;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return rc;
    return pool->mixed    ? SHUNT_AUTO
           : pool->shared ? SHUNT_PROCESSES
                          : SHUNT_THREADS;
}

const char *shunt_version(void)
{
    return SHUNT_VERSION;
}

int shunt_pool_free(shunt_pool *name)
{
    struct sh_pool *pool;
    size_t left;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return rc;
    if (sh_is_of_team(pool))
        return SHUNT_EDEADLK;
    left = sh_pool_drain(pool);
    sh_timekeeper_stop(pool);
    stop(pool);
    pool->team->crew->reap(pool);
    if (left == 0 || sh_host_camp(pool) == NULL) {
        pool->team->crew->join(pool);
        sh_registry_remove(pool);
        sh_pool_destroy(pool);
        return 0;
    }
    /* Code runs on that was given up: its thread frees the pool, unless it
     * has just ended. Nobody else finds the pool from now on. */
    sh_store_rlx(&pool->process, 0); /* relaxed: an identity */
    sh_registry_hide(pool);
    sh_seats_clear(pool);
    for (unsigned i = 0; i < pool->team->started; i++)
        pthread_detach(
            pool->team->workers[sh_host_camp(pool)->first + i].thread);
    sh_team_leave(pool);
    return 0;
}
