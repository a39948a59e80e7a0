/* SPDX-License-Identifier: MIT */
/*
 * step/audit.c - what a pool holds when nothing is to be held: items of its
 * tables that are in no free list, blocks, pages, descriptors.
 *
 * As fuzz/audit.c does, but it counts, so that what was lost before is not
 * said again.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "memory/arena.h"
#include "stepper.h"
#include "task/error.h"
#include "worker/frames.h"

enum {
    /* Stacks and tables are touched for the first time now and then. */
    PAGES_ALLOWED = 1024 /* of 512 bytes */
};

struct walk {
    const struct sh_table *table;
    uint32_t used, count;
    unsigned char *seen;
    const char *what;
};

static uint32_t link_at(const struct walk *w, uint32_t index, size_t offset)
{
    const char *item = w->table->items + (size_t)index * w->table->stride;

    return atomic_load((_Atomic uint32_t *)(uintptr_t)(item + offset));
}

static void mark(struct walk *w, uint32_t index)
{
    if (index == SH_NONE || index >= w->used)
        wrong("a free list of the %s leads to %u of %u", w->what,
              (unsigned)index, (unsigned)w->used);
    if (w->seen[index] != 0)
        wrong("one of the %s, %u, is free twice", w->what, (unsigned)index);
    w->seen[index] = 1;
    w->count++;
}

static void walk_list(struct walk *w, uint32_t index)
{
    for (; index != SH_NONE; index = link_at(w, index, w->table->link_at))
        mark(w, index);
}

static void walk_cache(struct walk *w, const struct sh_cache *c)
{
    walk_list(w, c->out);
    walk_list(w, c->in);
    for (uint32_t i = c->fresh; i < c->fresh_end; i++)
        mark(w, i);
}

static size_t count_lost(struct sh_pool *pool, struct sh_table *table,
                         size_t cache_at, const char *what)
{
    struct walk w = { table, sh_table_used(table), 0, NULL, what };
    uint32_t head = (uint32_t)atomic_load(&table->chains) & SH_INDEX;

    w.seen = calloc(w.used, 1);
    if (w.seen == NULL)
        wrong("no memory for the stepper itself");
    for (; head != SH_NONE; head = link_at(&w, head, table->chain_at))
        walk_list(&w, head);
    for (struct sh_seat *s = pool->seats; s != NULL; s = s->right)
        walk_cache(&w, (const void *)((const char *)s + cache_at));
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        walk_cache(&w,
                   (const void *)((const char *)&pool->team->workers[i].seat +
                                  cache_at));
    free(w.seen);
    return w.used - 1 - w.count;
}

bool pool_is_idle(struct sh_pool *pool)
{
    for (unsigned i = 0; i < pool->workers; i++)
        if (!sh_sleep_is_idle(&sh_camp_at(pool, i)->sleep, i))
            return false;
    return true;
}

bool guests_are_idle(struct sh_pool *pool)
{
    struct sh_camp *camp = &pool->camps[SH_HOST_CAMP];

    for (unsigned i = camp->first; pool->mixed && i < sh_camp_end(pool, camp);
         i++)
        if (!sh_sleep_is_idle(&camp->sleep, i))
            return false;
    return true;
}

uint32_t record_in_use(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);

    for (uint32_t i = 1; i < used; i++)
        if (sh_phase_of(atomic_load(&sh_record_at(pool, i)->state)) != SH_FREE)
            return i;
    return 0;
}

const char *call_in_use(struct sh_pool *pool)
{
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        if (atomic_load(&s->used) != 0)
            return "a deque";
        if (sh_split_taken(s) != 0 || sh_split_offers(s))
            return "a frame";
        for (unsigned k = 0; k < SH_SPLIT_THIEVES; k++)
            if (atomic_load(&s->claims[k]) != 0)
                return "a claim";
    }
    for (unsigned i = 0; i < pool->workers; i++)
        for (struct sh_fiber *f = pool->team->workers[i].stacks.all; f != NULL;
             f = f->older)
            if (atomic_load(&f->pinned) == SH_PINNED)
                return "a stack";
    return NULL;
}

void tell_record(struct sh_pool *pool, uint32_t index, char *to, size_t size)
{
    static const char *const phases[16] = { "free",   "init",     "promise",
                                            "wait",   "ready",    "running",
                                            "parked", "settling", "complete",
                                            "done",   "releasing" };
    struct sh_record *r = sh_record_at(pool, index);
    uint64_t w = atomic_load(&r->state);

    snprintf(to, size,
             "record %u: %s, task %s, flags %02x, owner %u, outcome %u, "
             "generation %u, kind %u, deps %llx, edge0 %llx, edges %u, "
             "hold %llx, input %llx",
             (unsigned)index, phases[w & 15],
             r->task != NULL ? sh_task_name(r) : "none",
             (unsigned)(w >> 4 & 0xff), sh_owner_of(w), sh_outcome_of(w),
             sh_generation_of(w), (unsigned)atomic_load(&r->kind),
             (unsigned long long)atomic_load(&r->deps),
             (unsigned long long)atomic_load(&r->edge0),
             (unsigned)atomic_load(&r->edges),
             (unsigned long long)atomic_load(&r->hold),
             (unsigned long long)atomic_load(&r->input));
}

long count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    long count = 0;

    if (folder == NULL)
        return -1;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

void holding_take(struct sh_pool *pool, struct holding *out)
{
    struct stat s = { .st_blocks = 0 };

    out->lost[0] = count_lost(pool, &pool->records,
                              offsetof(struct sh_seat, records), "records");
    out->lost[1] = count_lost(pool, &pool->aliases,
                              offsetof(struct sh_seat, aliases), "aliases");
    out->lost[2] = count_lost(pool, &pool->edges,
                              offsetof(struct sh_seat, edges), "edges");
    out->lost[3] = count_lost(pool, &pool->cells,
                              offsetof(struct sh_seat, cells), "cells");
    out->bytes = sh_slices_bytes(pool->heap.slices);
    if (fstat(pool->arena->fd, &s) == 0)
        out->pages = (long)s.st_blocks;
}

void holding_compare(const struct holding *before, const struct holding *now)
{
    static const char *const tables[] = { "records", "aliases", "edges",
                                          "cells" };

    for (size_t i = 0; i < 4; i++)
        if (now->lost[i] > before->lost[i])
            wrong("leaked: %zu of the %s are in no free list",
                  now->lost[i] - before->lost[i], tables[i]);
    if (now->bytes > before->bytes)
        wrong("leaked: %zu bytes of blocks", now->bytes - before->bytes);
    if (now->pages > before->pages + PAGES_ALLOWED)
        wrong("leaked: pages, %ld blocks of 512 bytes",
              now->pages - before->pages);
}
