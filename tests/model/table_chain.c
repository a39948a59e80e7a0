/* SPDX-License-Identifier: MIT */
/*
 * table_chain.c - items go back through the shared stack of chains.
 *
 * Edge: chain (memory/table.c). Who has an item writes to it with plain
 * stores: two threads that do so without an edge between them are a race. Two
 * chains of one item lie on the stack. One thread takes both and gives the
 * first back, while the other is between its look at that one and its CAS.
 */
#include "client.h"

#define SH_MEMORY_ARENA_H
#define SH_PAGES_RESERVE 0
struct sh_arena;
static void *sh_arena_map(struct sh_arena *a, size_t bytes, int how);
static void sh_arena_unmap(struct sh_arena *a, void *pages, size_t bytes);
#include "../../runtime/memory/table.c"

#define COUNT 4

struct item {
    int plain;
    _Atomic bool taken;
    _Atomic uint32_t link, chain;
};

static struct item items[COUNT];
static struct sh_table table;

static void *sh_arena_map(struct sh_arena *a, size_t bytes, int how)
{
    (void)a;
    (void)how;
    assert(bytes == sizeof items);
    return items;
}

static void sh_arena_unmap(struct sh_arena *a, void *pages, size_t bytes)
{
    (void)a;
    (void)pages;
    (void)bytes;
}

bool sh_fault(void)
{
    return false;
}

static uint32_t take_item(struct sh_cache *c)
{
    uint32_t index = sh_table_take(&table, c);

    if (index != SH_NONE) {
        assert(index < COUNT);
        assert(!sh_xchg_acq(&items[index].taken, true)); /* a count */
        items[index].plain++;
    }
    return index;
}

static void give_item(struct sh_cache *c, uint32_t index)
{
    sh_store_rlx(&items[index].taken, false); /* relaxed: a count */
    sh_table_give(&table, c, index);
    sh_table_flush(&table, c);
}

static void *taker(void *unused)
{
    struct sh_cache c = { 0 };

    (void)unused;
    (void)take_item(&c);
    (void)take_item(&c);
    return NULL;
}

static void *giver(void *unused)
{
    struct sh_cache c = { 0 };
    uint32_t index = take_item(&c);

    (void)unused;
    (void)take_item(&c);
    if (index != SH_NONE)
        give_item(&c, index);
    return NULL;
}

int main(void)
{
    struct sh_cache c = { 0 };
    pthread_t one, two;

    assert(sh_table_init(&table, NULL, sizeof(struct item),
                         offsetof(struct item, link),
                         offsetof(struct item, chain), COUNT));
    /* Items 1 and 2 become a chain each; item 3 stays with us. */
    assert(sh_table_take(&table, &c) == 1);
    assert(sh_table_take(&table, &c) == 2);
    assert(sh_table_take(&table, &c) == 3);
    give_item(&c, 1);
    give_item(&c, 2);
    one = thread_start(taker, NULL);
    two = thread_start(giver, NULL);
    thread_join(one);
    thread_join(two);
    return 0;
}
