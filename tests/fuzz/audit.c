/* SPDX-License-Identifier: MIT */
/*
 * fuzz/audit.c - a look inside: when everything was given back, every record
 * is free, and every item of every table is in exactly one free list.
 *
 * So a handle that the library forgot to give back, and an item that it gave
 * back twice, are found though no user can see them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "graph.h"
#include "task/run.h"
#include "worker/worker.h"
#include "worker/worker.h"

enum {
    LOOKS = 100000
};

struct walk {
    const struct sh_table *table;
    uint32_t used, count;
    unsigned char *seen;
    bool good;
};

static uint32_t link_at(const struct walk *w, uint32_t index, size_t offset)
{
    const char *item = w->table->items + (size_t)index * w->table->stride;

    /* relaxed: nobody moves it now */
    return sh_load_rlx((_Atomic uint32_t *)(uintptr_t)(item + offset));
}

static void mark(struct walk *w, uint32_t index)
{
    if (index == SH_NONE || index >= w->used || w->seen[index] != 0) {
        w->good = false;
        return;
    }
    w->seen[index] = 1;
    w->count++;
}

static void walk_list(struct walk *w, uint32_t index)
{
    for (; index != SH_NONE && w->good;
         index = link_at(w, index, w->table->link_at))
        mark(w, index);
}

static void walk_cache(struct walk *w, const struct sh_cache *c)
{
    walk_list(w, c->out);
    walk_list(w, c->in);
    for (uint32_t i = c->fresh; i < c->fresh_end; i++)
        mark(w, i);
}

static void walk_chains(struct walk *w)
{
    /* relaxed: nobody moves it now */
    uint32_t head = (uint32_t)sh_load_rlx(&w->table->chains);

    for (; head != SH_NONE && w->good;
         head = link_at(w, head, w->table->chain_at))
        walk_list(w, head);
}

/* Say which item of a table is in no free list, and what it holds. */
static void fail_on_lost(struct graph *g, const struct walk *w,
                         const struct sh_pool *pool, const char *what)
{
    char bytes[4 * 17 + 1] = "";
    const uint64_t *item;
    uint32_t first = 1;

    while (first + 1 < w->used && w->seen[first] != 0)
        first++;
    item = (const void *)(w->table->items + (size_t)first * w->table->stride);
    for (size_t i = 0; i < 4 && i < w->table->stride / sizeof *item; i++)
        snprintf(bytes + 17 * i, 18, " %016llx", (unsigned long long)item[i]);
    fuzz_fail(g, "%u of %u %s of pool %u are in no free list; %u holds%s",
              w->used - 1 - w->count, w->used - 1, what, pool->id, first,
              bytes);
}

static void audit_table(struct graph *g, struct sh_pool *pool,
                        struct sh_table *table, size_t cache_at,
                        const char *what)
{
    struct walk w = { table, sh_table_used(table), 0, NULL, true };

    w.seen = calloc(w.used, 1);
    if (w.seen == NULL)
        fuzz_fail(g, "no memory for the fuzzer itself");
    walk_chains(&w);
    for (struct sh_seat *s = pool->seats; s != NULL; s = s->right)
        walk_cache(&w, (const struct sh_cache *)(const void *)((const char *)s +
                                                               cache_at));
    for (unsigned i = 0; i < pool->workers; i++)
        walk_cache(
            &w,
            (const struct sh_cache
                 *)(const void *)((const char *)&pool->team->workers[i].seat +
                                  cache_at));
    if (!w.good)
        fuzz_fail(g, "one of the %s is in a free list twice", what);
    if (w.count != w.used - 1)
        fail_on_lost(g, &w, pool, what);
    free(w.seen);
}

/* The first record that is in use, 0 if none is. */
static uint32_t first_used(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);

    for (uint32_t i = 1; i < used; i++)
        /* acquire: settled */
        if (sh_phase_of(sh_load_acq(&sh_record_at(pool, i)->state)) != SH_FREE)
            return i;
    return 0;
}

static bool all_idle(struct sh_pool *pool)
{
    for (unsigned i = 0; i < sh_pool_active(pool); i++)
        if (!sh_post_is_off(&pool->posts[i]) &&
            !sh_sleep_is_idle(&pool->sleep, i))
            return false;
    return true;
}

/* The last task may have settled a moment before its worker is done with it.
 * Bounded: whatever the workers still have to do is little. */
static void wait_until_quiet(struct graph *g, struct sh_pool *pool)
{
    struct timespec moment = { .tv_nsec = 100000 };

    for (int look = 0; look < LOOKS; look++) {
        if (all_idle(pool) && first_used(pool) == 0 && all_idle(pool))
            return;
        nanosleep(&moment, NULL);
    }
    fuzz_fail(g, "record %u is still in use", (unsigned)first_used(pool));
}

static void audit_pool(struct graph *g, struct sh_pool *pool)
{
    audit_table(g, pool, &pool->records, offsetof(struct sh_seat, records),
                "records");
    audit_table(g, pool, &pool->aliases, offsetof(struct sh_seat, aliases),
                "aliases");
    audit_table(g, pool, &pool->edges, offsetof(struct sh_seat, edges),
                "edges");
    audit_table(g, pool, &pool->cells, offsetof(struct sh_seat, cells),
                "cells");
}

/* What a shutdown gave up keeps memory until its pool goes. */
static bool gave_up(const struct graph *g)
{
    struct sh_pool *pool;

    for (unsigned i = 0; i < g->plan->pools; i++)
        if (sh_pool_find(g->pools[i], &pool) == 0 &&
            sh_load_acq(&pool->gave_up) != 0) /* acquire: settled */
            return true;
    return false;
}

void audit_pools(struct graph *g)
{
    struct sh_pool *pools[POOLS_MAX];

    if (gave_up(g))
        return;

    /* A worker of one has a seat at the other, so all must rest first. */
    for (unsigned i = 0; i < g->plan->pools; i++) {
        if (sh_pool_find(g->pools[i], &pools[i]) != 0)
            fuzz_fail(g, "there is no pool to audit");
        wait_until_quiet(g, pools[i]);
    }
    for (unsigned i = 0; i < g->plan->pools; i++)
        audit_pool(g, pools[i]);
}

void audit_dump(shunt_pool *name)
{
    static const char *const phases[16] = { "free",   "init",     "promise",
                                            "wait",   "ready",    "running",
                                            "parked", "settling", "complete",
                                            "done",   "releasing" };
    struct sh_pool *pool;
    uint32_t used;

    if (sh_pool_find(name, &pool) != 0)
        return;
    used = sh_table_used(&pool->records);
    fprintf(stderr, "pool %u: gate %u, ring %llu, side %llu\n", pool->id,
            (unsigned)sh_load_rlx(&pool->gate), /* relaxed: a report */
            (unsigned long long)sh_ring_size(&pool->ring),
            (unsigned long long)sh_ring_size(&pool->side));
    for (unsigned i = 0; i < pool->workers; i++)
        fprintf(stderr, "worker %u: %s, deque %u, resumed %u\n", i,
                sh_sleep_is_idle(&pool->sleep, i) ? "idle" : "awake",
                sh_deque_size(&pool->posts[i].deque),
                /* relaxed: a report */
                (unsigned)sh_load_rlx(&pool->posts[i].resumed));
    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);
        uint64_t w = sh_load_acq(&r->state); /* acquire: settled */

        if (sh_phase_of(w) == SH_FREE)
            continue;
        /* relaxed, all of them: a report */
        fprintf(stderr,
                "record %u: %s, flags %02x, owner %u, outcome %u, generation "
                "%u, kind %u, deps %llx, edge0 %llx, edges %u, hold %llx, "
                "input %llx\n",
                (unsigned)i, phases[w & 15], (unsigned)(w >> 4 & 0xff),
                sh_owner_of(w), sh_outcome_of(w), sh_generation_of(w),
                (unsigned)sh_load_rlx(&r->kind),
                (unsigned long long)sh_load_rlx(&r->deps),
                (unsigned long long)sh_load_rlx(&r->edge0),
                (unsigned)sh_load_rlx(&r->edges),
                (unsigned long long)sh_load_rlx(&r->hold),
                (unsigned long long)sh_load_rlx(&r->input));
    }
}
