/* SPDX-License-Identifier: MIT */
/*
 * table_client.h - a table of a few items, and who takes them: each of them once
 * until it is given back.
 */
#ifndef TESTS_MODEL_TABLE_CLIENT_H
#define TESTS_MODEL_TABLE_CLIENT_H

#include "client.h"

#define SH_MEMORY_ARENA_H
#define SH_PAGES_RESERVE 0
struct sh_arena;
static void *sh_arena_map(struct sh_arena *a, size_t bytes, int how);
static void sh_arena_unmap(struct sh_arena *a, void *pages, size_t bytes);
#include "../../runtime/memory/table.c"

struct item {
    int plain;
    _Atomic bool taken;
    _Atomic uint32_t link, chain;
};

static struct {
    struct item items[COUNT];
    _Atomic uint32_t notes[2 * SH_MARKS];
} memory;
#define items memory.items
static struct sh_table table;

static void *sh_arena_map(struct sh_arena *a, size_t bytes, int how)
{
    (void)a;
    (void)how;
    assert(bytes == sizeof memory);
    return &memory;
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

static void table_make(void)
{
    assert(sh_table_init(&table, NULL, sizeof(struct item),
                         offsetof(struct item, link),
                         offsetof(struct item, chain), COUNT));
}

#endif /* TESTS_MODEL_TABLE_CLIENT_H */
