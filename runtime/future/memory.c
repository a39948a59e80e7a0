/* SPDX-License-Identifier: MIT */
/*
 * future/memory.c - memory of users: whose a block is, and when it goes.
 *
 * Edges.
 *   attached  task/error.c: a block is pushed on a record's list
 */
#include <stddef.h>

#include "future/settle.h"
#include "future/value.h"
#include "shunt/memory.h"
#include "task/error.h"

void *shunt_alloc(size_t n)
{
    struct sh_run *run = sh_here.run;
    struct sh_block *b =
        run == NULL ? NULL : sh_block_new(&run->pool->heap, n, SH_BLOCK_USER);

    if (b == NULL)
        return NULL;
    b->owner = run->index;
    sh_blocks_add(&run->blocks, b);
    return sh_block_bytes(b);
}

void *shunt_pool_alloc(shunt_pool *name, size_t n)
{
    struct sh_pool *pool;
    struct sh_block *b;

    if (sh_pool_find(name, &pool) != 0)
        return NULL;
    b = sh_block_new(&pool->heap, n, SH_BLOCK_USER);
    if (b == NULL)
        return NULL;
    sh_heap_loosen(&pool->heap, b);
    return sh_block_bytes(b);
}

/* Whether b is in the list of the running task. */
static bool is_ours(const struct sh_run *run, const struct sh_block *b)
{
    return run != NULL && b->owner == run->index &&
           b->heap == &run->pool->heap &&
           (b->prev != NULL || run->blocks.first == b);
}

/* Whether the pool of a block can be used by this process: 0, or why not. */
static int check_pool(const struct sh_block *b)
{
    const char *at = (const char *)b->heap - offsetof(struct sh_pool, heap);
    const struct sh_pool *pool = (const struct sh_pool *)(const void *)at;

    return sh_pool_is_ours(pool) ? 0 : sh_pool_refusal(pool);
}

int sh_memory_claim(void *p, struct sh_block **block_out)
{
    struct sh_run *run = sh_here.run;
    struct sh_block *b = sh_block_of(p);
    int rc;

    if (b == NULL || b->kind != SH_BLOCK_USER)
        return SHUNT_EINVAL;
    rc = check_pool(b);
    if (rc != 0)
        return rc;
    if (is_ours(run, b))
        sh_blocks_remove(&run->blocks, b);
    else if (b->owner != 0 || !sh_heap_fasten(b->heap, b))
        return SHUNT_EINVAL;
    *block_out = b;
    return 0;
}

int shunt_free(void *p)
{
    struct sh_block *b;
    int rc = p == NULL ? 0 : sh_memory_claim(p, &b);

    if (p != NULL && rc == 0)
        sh_block_free(b);
    return rc;
}

int shunt_adopt(shunt_future *f, void *p)
{
    struct sh_block *b = p == NULL ? NULL : sh_block_of(p);
    struct sh_ref ref;
    int rc = sh_handle_find(sh_handle_of(f), SH_LOOK, &ref);

    if (rc != 0)
        return rc;
    if (b == NULL || b->kind != SH_BLOCK_USER || ref.record == NULL ||
        b->heap != &ref.pool->heap)
        return SHUNT_EINVAL;
    if (is_ours(sh_here.run, b))
        sh_blocks_remove(&sh_here.run->blocks, b);
    else if (b->owner != 0 || !sh_heap_fasten(b->heap, b))
        return SHUNT_EINVAL;
    b->owner = sh_index_of(ref.pool, ref.record);
    b->kind = SH_BLOCK_ADOPTED;
    /* It was the task's own, and would go with its process. */
    sh_attach_new(ref.pool, ref.record, b);
    return 0;
}
