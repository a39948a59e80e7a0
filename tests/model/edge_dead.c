/* SPDX-License-Identifier: MIT */
/*
 * edge_dead.c - edges are used again by whoever comes next.
 *
 * Edges: dead, hang (future/edge.c). Three dependants hang there; those two of
 * the list let go, and a thread hangs two others on meanwhile. If it is given
 * the edge that was dropped last, the other one comes next: none is forgotten.
 */
#include "record_client.h"

static sh_hook hooks[4];

static uint64_t target(unsigned bit)
{
    return sh_target(SH_TARGET_CELL, 1, bit, GENERATION);
}

static sh_hook attach(unsigned bit)
{
    sh_hook hook;

    assert(sh_edge_attach(&pool, &records[1], GENERATION, target(bit),
                          &hook) == SH_ATTACHED);
    return hook;
}

static void *leaver(void *unused)
{
    (void)unused;
    assert(sh_edge_detach(&pool, &records[1], hooks[2], target(2)));
    assert(sh_edge_detach(&pool, &records[1], hooks[3], target(3)));
    return NULL;
}

static void *comer(void *unused)
{
    sh_hook first = attach(4);
    sh_hook second = attach(5);

    (void)unused;
    assert(first != second);
    if (first == hooks[3])
        assert(second == hooks[2]);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool();
    make_record(1, SH_RUNNING, SH_KIND_TASK);
    for (unsigned i = 1; i <= 3; i++)
        hooks[i] = attach(i);
    one = thread_start(leaver, NULL);
    two = thread_start(comer, NULL);
    thread_join(one);
    thread_join(two);
    return 0;
}
