/* SPDX-License-Identifier: MIT */
/*
 * future/results.c - what became of the children of a scope that has ended.
 *
 * Idea. The children are in a list of cells, the last in front or, where cells
 * were used again, in no order; each cell has its child's number. What is
 * asked for is copied out and sorted. Without memory for that the first
 * failure is still found, but not the others.
 *
 * Edges.
 *   settled  future/settle.c
 */
#include <stdlib.h>
#include <string.h>

#include "future/scope.h"
#include "future/value.h"
#include "task/error.h"

/* A child: its number, and its cell. */
struct entry {
    uint32_t number, cell;
};

/* Which children are meant. */
enum sort {
    CHILDREN,
    FAILURES,
    CANCELLATIONS
};

struct entries {
    struct entry *first; /* NULL: no memory, or none */
    size_t count, room;
};

static void look_up(struct sh_pool *pool, uint32_t cell, struct sh_ref *ref)
{
    /* relaxed: the scope has ended */
    ref->handle = sh_load_rlx(&sh_cell_at(pool, cell)->up);
    ref->pool = pool;
    ref->record = sh_record_at(pool, sh_handle_index(ref->handle));
    ref->word = sh_load_acq(&ref->record->state); /* acquire: settled */
    ref->reserved = 0;
}

/* Whether a cell has a child of that sort. */
static bool is_of(struct sh_pool *pool, uint32_t cell, enum sort sort)
{
    struct sh_ref ref;
    int status;

    look_up(pool, cell, &ref);
    if (ref.handle == 0 || sort == CHILDREN)
        return ref.handle != 0;
    status = sh_ref_status(&ref);
    return sort == FAILURES ? status != 0 && status != SHUNT_ECANCELED
                            : status == SHUNT_ECANCELED;
}

static uint32_t cells_of(const struct sh_ref *scope)
{
    /* relaxed: the scope has ended */
    return sh_load_rlx(&scope->record->data.scoping.cells);
}

static uint32_t next_of(struct sh_pool *pool, uint32_t cell)
{
    /* relaxed: the scope has ended */
    return sh_load_rlx(&sh_cell_at(pool, cell)->link);
}

static uint32_t number_of(struct sh_pool *pool, uint32_t cell)
{
    /* relaxed: the scope has ended */
    return sh_load_rlx(&sh_cell_at(pool, cell)->chain);
}

/* How many there are of a sort; *first_out: the cell of the first of them. */
static size_t count(const struct sh_ref *scope, enum sort sort,
                    uint32_t *first_out)
{
    struct sh_pool *pool = scope->pool;
    size_t n = 0;

    for (uint32_t i = cells_of(scope); i != SH_NONE; i = next_of(pool, i)) {
        if (!is_of(pool, i, sort))
            continue;
        if (n++ == 0 || number_of(pool, i) < number_of(pool, *first_out))
            *first_out = i;
    }
    return n;
}

static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    return (a->number > b->number) - (a->number < b->number);
}

/* All n of a sort, by number; fewer if some forward to a pool that has been
 * freed since they were counted. */
static struct entries gather(const struct sh_ref *scope, enum sort sort,
                             size_t n)
{
    struct sh_pool *pool = scope->pool;
    struct entries e = { .room = n };
    size_t at = n;
    bool sorted = true;

    if (n > 0)
        e.first = sh_heap_scratch(&pool->heap, n * sizeof *e.first);
    if (e.first == NULL)
        return e;
    /* From behind, since the list mostly begins with the last. */
    for (uint32_t i = cells_of(scope); i != SH_NONE && at > 0;
         i = next_of(pool, i)) {
        if (!is_of(pool, i, sort))
            continue;
        e.first[--at] = (struct entry){ number_of(pool, i), i };
        sorted = sorted &&
                 (at + 1 == n || compare(e.first + at, e.first + at + 1) < 0);
    }
    e.count = n - at;
    memmove(e.first, e.first + at, e.count * sizeof *e.first);
    if (!sorted)
        qsort(e.first, e.count, sizeof *e.first, compare);
    return e;
}

static void let_entries_go(const struct sh_ref *scope, struct entries *e)
{
    if (e->first != NULL)
        sh_heap_put(&scope->pool->heap, e->first, e->room * sizeof *e->first);
}

/* -- handles to all of them -- */

/* Memory of the running task or, outside, of the caller; NULL if there is
 * none. */
static void *callers_memory(struct sh_pool *pool, size_t bytes)
{
    struct sh_run *run = sh_here.run;
    struct sh_heap *heap = run != NULL ? &run->pool->heap : &pool->heap;
    struct sh_block *b = sh_block_new(heap, bytes, SH_BLOCK_USER);

    if (b == NULL)
        return NULL;
    if (run != NULL) {
        b->owner = run->index;
        sh_blocks_add(&run->blocks, b);
    } else {
        sh_heap_loosen(heap, b);
    }
    return sh_block_bytes(b);
}

/* A handle of the caller to a child; NULL if there is no memory. */
static shunt_future *handle_to(struct sh_pool *pool, uint32_t cell)
{
    struct sh_seat *seat = sh_seat_of(pool);
    uint64_t handle = 0;
    struct sh_ref ref;

    look_up(pool, cell, &ref);
    if (seat != NULL)
        handle = sh_handle_alias(seat, &ref, sh_here.run);
    return sh_handle_future(handle);
}

bool sh_scope_results(const struct sh_ref *scope, shunt_results *all_out)
{
    uint32_t first;
    size_t n = count(scope, CHILDREN, &first);
    struct entries e = gather(scope, CHILDREN, n);
    shunt_results all = { .count = 0 };
    shunt_future **futures = NULL;

    if (e.first != NULL)
        futures = callers_memory(scope->pool, n * sizeof *futures);
    all.futures = futures;
    while (futures != NULL && all.count < n) {
        futures[all.count] = handle_to(scope->pool, e.first[all.count].cell);
        if (futures[all.count] == NULL)
            break;
        all.count++;
    }
    let_entries_go(scope, &e);
    if (all.count < n) {
        if (futures != NULL)
            (void)shunt_results_release(&all);
        return false;
    }
    *all_out = all;
    return true;
}

int shunt_results_release(shunt_results *all)
{
    struct sh_block *array;
    int rc;

    if (all == NULL)
        return SHUNT_EINVAL;
    if (all->futures == NULL)
        return 0;
    rc = sh_memory_claim((void *)(uintptr_t)all->futures, &array);
    if (rc != 0)
        return rc;
    /* One that was taken, or given back, is not valid any more. */
    for (size_t i = 0; i < all->count; i++)
        (void)shunt_release(all->futures[i]);
    sh_block_free(array);
    *all = (shunt_results){ .count = 0 };
    return 0;
}

/* -- what failed -- */

/* The record of the first failure becomes the last error, with all of them as
 * its causes. */
static void remember(const struct sh_ref *scope, enum sort sort, size_t n,
                     uint32_t first)
{
    struct sh_heap *heap = &scope->pool->heap;
    struct entries e = gather(scope, sort, n);
    const shunt_error **causes =
        e.first == NULL ? NULL : sh_heap_scratch(heap, n * sizeof *causes);
    shunt_error error;
    struct sh_ref ref;

    look_up(scope->pool, first, &ref);
    error = *sh_error_tell(sh_error_of(&ref));
    (void)sh_ref_tell(&ref);
    error.cause_count = causes == NULL ? 0 : e.count;
    error.causes = causes;
    for (size_t i = 0; i < error.cause_count; i++) {
        look_up(scope->pool, e.first[i].cell, &ref);
        causes[i] = sh_error_of(&ref);
        (void)sh_ref_tell(&ref);
    }
    sh_remember_error(&error);
    if (causes != NULL)
        sh_heap_put(heap, causes, n * sizeof *causes);
    let_entries_go(scope, &e);
}

int sh_scope_status(const struct sh_ref *scope)
{
    /* relaxed: the scope has ended */
    bool lost = (sh_load_rlx(&scope->record->hold) & SH_SCOPE_LOST) != 0;
    enum sort sort = FAILURES;
    uint32_t first = SH_NONE;
    size_t n = count(scope, sort, &first);
    struct sh_ref ref;

    if (n == 0) {
        sort = CANCELLATIONS;
        n = count(scope, sort, &first);
    }
    if (n > 0) {
        remember(scope, sort, n, first);
        look_up(scope->pool, first, &ref);
        return sh_ref_status(&ref);
    }
    if (!lost)
        return 0;
    sh_remember_error(sh_error_constant(SHUNT_ECANCELED));
    return SHUNT_ECANCELED;
}
