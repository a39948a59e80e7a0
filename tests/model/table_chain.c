/* SPDX-License-Identifier: MIT */
/*
 * table_chain.c - items go back through the shared stack of chains.
 *
 * Edge: chain (memory/table.c). Who has an item writes to it with plain
 * stores: two threads that do so without an edge between them are a race. Two
 * chains of one item lie on the stack. One thread takes both and gives the
 * first back, while the other is between its look at that one and its CAS.
 */
#define COUNT 4
#include "table_client.h"

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

    table_make();
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
