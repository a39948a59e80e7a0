/* SPDX-License-Identifier: MIT */
/*
 * fuzz/audit.c - a look inside: when everything was given back, every record
 * is free, and every item of every table is in exactly one free list.
 *
 * So a handle that the library forgot to give back, and an item that it gave
 * back twice, are found though no user can see them.
 *
 * Timers are never dropped: each that is set is in the wheel, or on its way to
 * it, and of interest to nobody. The timekeeper is stopped before it is looked
 * at what is its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "future/timer.h"
#include "graph.h"
#include "task/handle.h"
#include "worker/worker.h"

enum {
    LOOKS = 100000,
    LOOKS_AT_LEFT = 5000
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
    uint32_t head = (uint32_t)sh_load_rlx(&w->table->chains) & SH_INDEX;

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

static const struct sh_cache *cache_of(const struct sh_seat *seat,
                                       size_t cache_at)
{
    return (const void *)((const char *)seat + cache_at);
}

/* How many items of a table are lost: only where processes were killed. */
static unsigned audit_table(struct graph *g, struct sh_pool *pool,
                            struct sh_table *table, size_t cache_at,
                            const char *what)
{
    struct walk w = { table, sh_table_used(table), 0, NULL, true };
    unsigned posts = sh_pool_active(pool);

    w.seen = calloc(w.used, 1);
    if (w.seen == NULL)
        fuzz_fail(g, "no memory for the fuzzer itself");
    walk_chains(&w);
    for (struct sh_seat *s = pool->seats; s != NULL; s = s->right)
        walk_cache(&w, cache_of(s, cache_at));
    for (unsigned i = 0; i < posts; i = sh_pool_next(pool, i))
        walk_cache(&w, cache_of(&pool->team->workers[i].seat, cache_at));
    if (!w.good)
        fuzz_fail(g, "one of the %s is in a free list twice", what);
    if (w.count != w.used - 1 && !g->plan->mortal)
        fail_on_lost(g, &w, pool, what);
    free(w.seen);
    return w.used - 1 - w.count;
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

/* A process that is stuck will be another, which is not. */
static bool is_at_rest(struct sh_pool *pool, unsigned i)
{
    bool off = sh_post_is_off(&pool->posts[i]);

    if (pool->shared && i < pool->workers && off)
        return false;
    return off || sh_sleep_is_idle(&sh_camp_at(pool, i)->sleep, i);
}

static bool all_idle(struct sh_pool *pool)
{
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        if (!is_at_rest(pool, i))
            return false;
    return true;
}

/* The last task may have settled a moment before its worker is done with it.
 * Bounded: whatever the workers still have to do is little. Where processes are
 * killed, what is left is counted. */
static void wait_until_quiet(struct graph *g, struct sh_pool *pool)
{
    struct timespec moment = { .tv_nsec = 100000 };

    for (int look = 0; look < LOOKS; look++) {
        if (all_idle(pool) && first_used(pool) == 0 && all_idle(pool))
            return;
        if (g->plan->mortal && look > LOOKS_AT_LEFT && all_idle(pool))
            return;
        nanosleep(&moment, NULL);
    }
    fuzz_fail(g, "record %u is still in use", (unsigned)first_used(pool));
}

/* The timers of the records and cells that are used, one after the other. */
struct timers {
    struct sh_pool *pool;
    uint32_t records, cells;
    unsigned char *places; /* where each is */
};

static uint32_t timer_index(const struct timers *t, uint32_t number)
{
    if (number < t->records)
        return sh_timer_of_deadline(number);
    number -= t->records;
    if (number < t->records)
        return sh_timer_of_wait(t->pool, number);
    return sh_timer_of_cell(t->pool, number - t->records);
}

static uint32_t timer_number(const struct timers *t, uint32_t index)
{
    uint32_t kind = index / t->pool->records.capacity;

    return kind * t->records + index % t->pool->records.capacity;
}

/* Note each that is on a list of what was set. */
static void note_set(struct timers *t, _Atomic uint32_t *list)
{
    /* relaxed, both of them: nobody moves it now */
    uint32_t index = sh_load_rlx(list);

    while (index != SH_TIMER_NONE) {
        uint32_t number = timer_number(t, index);

        if (t->places[number]++ > 0)
            return;
        index = sh_load_rlx(&t->pool->timers[index].link);
    }
}

/* Each timer that is set is on one of the lists, or in the wheel; others are
 * nowhere. */
static void audit_timers(struct graph *g, struct sh_pool *pool)
{
    struct timers t = { pool, sh_table_used(&pool->records),
                        pool->time.manual ? sh_table_used(&pool->cells) : 0,
                        NULL };
    unsigned posts = sh_pool_active(pool);
    uint32_t count = 2 * t.records + t.cells;

    t.places = calloc(count, 1);
    if (t.places == NULL)
        fuzz_fail(g, "no memory for the fuzzer itself");
    note_set(&t, &pool->time.timers_set);
    for (unsigned i = 0; i < posts; i = sh_pool_next(pool, i))
        note_set(&t, &pool->posts[i].timers_set);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = timer_index(&t, i);
        struct sh_timer *timer = &pool->timers[index];
        uint64_t w = sh_load_acq(&timer->state); /* acquire: timer */
        unsigned places = t.places[i] + (timer->slot != SH_NOWHERE ? 1u : 0);

        if (places != ((w & SH_TIMER_SET) != 0))
            fuzz_fail(g, "timer %u of pool %u, state %llx, is in %u places",
                      (unsigned)index, pool->id, (unsigned long long)w, places);
    }
    free(t.places);
}

/* Add to *arg the size of a block that is a future's, or nobody's: not of one
 * that came along with a value which a thread has taken. */
static bool count_block(void *arg, void *p, size_t size, uint64_t name)
{
    (void)p;
    if (name != SH_NAME_LOOSE)
        *(size_t *)arg += size;
    return true;
}

/* Bytes of blocks of a process pool, all of which belong to somebody. */
static size_t audit_blocks(struct graph *g, struct sh_pool *pool)
{
    size_t bytes = 0;

    if (pool->shared)
        (void)sh_slices_filter(pool->heap.slices, count_block, &bytes);
    if (bytes != 0 && !g->plan->mortal)
        fuzz_fail(g, "%zu bytes of pool %u are in use", bytes, pool->id);
    return bytes;
}

/* True: there is nothing left. */
static bool audit_tables(struct graph *g, struct sh_pool *pool)
{
    unsigned records = audit_table(
        g, pool, &pool->records, offsetof(struct sh_seat, records), "records");
    unsigned aliases = audit_table(
        g, pool, &pool->aliases, offsetof(struct sh_seat, aliases), "aliases");
    unsigned edges = audit_table(g, pool, &pool->edges,
                                 offsetof(struct sh_seat, edges), "edges");
    unsigned cells = audit_table(g, pool, &pool->cells,
                                 offsetof(struct sh_seat, cells), "cells");
    size_t bytes = audit_blocks(g, pool);

    if ((records | aliases | edges | cells | bytes) == 0)
        return true;
    fprintf(stderr,
            "graph_fuzz: seed %llu leaves %u records, %u aliases, %u edges, %u "
            "cells, %zu bytes\n",
            (unsigned long long)g->plan->seed, records, aliases, edges, cells,
            bytes);
    if (records > 0)
        audit_dump(g->pools[0]);
    atomic_fetch_add(&census->untidy, 1);
    atomic_fetch_add(&census->records, records);
    atomic_fetch_add(&census->aliases, aliases);
    atomic_fetch_add(&census->edges, edges);
    atomic_fetch_add(&census->cells, cells);
    atomic_fetch_add(&census->bytes, bytes);
    return false;
}

static void audit_pool(struct graph *g, struct sh_pool *pool)
{
    if (!audit_tables(g, pool))
        return;
    sh_timekeeper_stop(pool);
    if (sh_timers_any(pool))
        fuzz_fail(g, "a timer of pool %u is set for nobody", pool->id);
    audit_timers(g, pool);
}

/* Nobody is stuck, nor stands in for others beyond what is allowed, nor is a
 * keeper still postponed. */
static void audit_posts(struct graph *g, unsigned i, struct sh_pool *pool)
{
    int spares = g->plan->spares[i];
    unsigned most = pool->workers + (spares < 0    ? 0
                                     : spares == 0 ? pool->workers
                                                   : (unsigned)spares);
    unsigned posts = sh_pool_active(pool);

    most += pool->team->blocking_max;
    if (pool->mixed)
        most += pool->camps[SH_HOST_CAMP].first;
    else if (pool->shared)
        most = pool->camps[SH_OWN_CAMP].end;
    if (posts > most)
        fuzz_fail(g, "pool %u has %u posts", pool->id, posts);
    for (unsigned k = 0; k < posts; k = sh_pool_next(pool, k))
        atomic_fetch_add(&census->stand_ins, k >= sh_camp_at(pool, k)->spare);
    if (g->plan->mortal)
        return;
    if (sh_load_sc(&pool->late) != SH_NONE)
        fuzz_fail(g, "a keeper of pool %u is still postponed", pool->id);
    for (unsigned k = 0; k < posts; k = sh_pool_next(pool, k)) {
        struct sh_post *post = &pool->posts[k];

        uint64_t stuck = sh_load_sc(&post->stuck);

        if (stuck != 0 && sh_load_sc(&post->running) == stuck)
            fuzz_fail(g, "worker %u of pool %u is still stuck", k, pool->id);
        if (sh_load_sc(&post->resumed) != SH_NONE)
            fuzz_fail(g, "worker %u of pool %u leaves a task", k, pool->id);
    }
}

bool audit_is_reserved(shunt_future *f)
{
    return sh_handle_index(sh_handle_of(f)) == SH_HANDLE_RESERVED;
}

void audit_pools(struct graph *g)
{
    struct sh_pool *pools[POOLS_MAX];

    /* A worker of one has a seat at the other, so all must rest first. */
    for (unsigned i = 0; i < g->plan->pools; i++) {
        if (sh_pool_find(g->pools[i], &pools[i]) != 0)
            fuzz_fail(g, "there is no pool to audit");
        if (g->plan->mortal && pools[i]->shared)
            storm_await_repair(g, pools[i]);
        wait_until_quiet(g, pools[i]);
    }
    for (unsigned i = 0; i < g->plan->pools; i++) {
        audit_posts(g, i, pools[i]);
        audit_pool(g, pools[i]);
    }
}

static void dump_timers(struct sh_pool *pool)
{
    uint32_t records = pool->records.capacity;
    uint32_t used = sh_table_used(&pool->records);

    /* relaxed, all of them: a report */
    fprintf(stderr, "time: keeper %u, wakes %lld, now %lld\n",
            (unsigned)sh_load_rlx(&pool->time.keeper),
            (long long)sh_load_rlx(&pool->time.wake_ns),
            (long long)sh_pool_now(pool));
    for (uint32_t i = 0; i < 2 * used; i++) {
        struct sh_timer *t = &pool->timers[i % used + (i < used ? 0 : records)];
        uint64_t w = sh_load_rlx(&t->state);

        if ((w & SH_TIMER_SET) != 0)
            fprintf(stderr, "record %u: %s, generation %u, at %lld, slot %x\n",
                    (unsigned)(i % used), i < used ? "deadline" : "wait",
                    (unsigned)(w >> 32), (long long)sh_load_rlx(&t->when_ns),
                    (unsigned)t->slot);
    }
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
            (unsigned long long)sh_ring_size(&pool->camps[0].ring),
            (unsigned long long)sh_ring_size(&pool->camps[0].side));
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        fprintf(stderr,
                "worker %u: %s, deque %u, resumed %u, stuck %llx, rests %u\n",
                i,
                sh_sleep_is_idle(&sh_camp_at(pool, i)->sleep, i) ? "idle"
                                                                 : "awake",
                sh_deque_size(&pool->posts[i].deque),
                /* relaxed, all of them: a report */
                (unsigned)sh_load_rlx(&pool->posts[i].resumed),
                (unsigned long long)sh_load_rlx(&pool->posts[i].stuck),
                (unsigned)sh_load_rlx(&pool->posts[i].rests));
    dump_timers(pool);
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
