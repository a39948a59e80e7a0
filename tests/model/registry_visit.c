/* SPDX-License-Identifier: MIT */
/*
 * registry_visit.c - a pool is freed while threads look in on it.
 *
 * Edge: visit (task/registry.c). Two visitors, who stay out or are waited for.
 */
#include "registry_client.h"

static struct sh_pool pool;
static int memory = 42; /* of the pool: plain */

static void *visitor(void *unused)
{
    (void)unused;
    if (sh_pool_visit(1)) {
        assert(memory == 42);
        sh_pool_leave(1);
    }
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    assert(sh_registry_add(&pool) && pool.id == 1);
    one = thread_start(visitor, NULL);
    two = thread_start(visitor, NULL);
    sh_registry_remove(&pool);
    memory = 0;
    thread_join(one);
    thread_join(two);
    return 0;
}
