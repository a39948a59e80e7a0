/* SPDX-License-Identifier: MIT */
/*
 * registry_find.c - a pool is looked up while it comes.
 *
 * Edge: registry (task/registry.c). A name may reach another thread by any
 * way, even by a guess as here: who finds the pool finds it set up.
 */
#include "registry_client.h"

static struct sh_pool pool;

static void *maker(void *unused)
{
    (void)unused;
    pool.workers = 3;
    assert(sh_registry_add(&pool));
    return NULL;
}

static void *finder(void *unused)
{
    struct sh_pool *found;
    shunt_pool *name = (shunt_pool *)(uintptr_t)(1 << 12 | 1);

    (void)unused;
    if (sh_pool_find(name, &found) == 0)
        assert(found == &pool && found->workers == 3);
    return NULL;
}

int main(void)
{
    pthread_t one = thread_start(maker, NULL);
    pthread_t two = thread_start(finder, NULL);

    thread_join(one);
    thread_join(two);
    return 0;
}
