/* SPDX-License-Identifier: MIT */
/*
 * table_popped.c - whose process died when it had popped a chain.
 *
 * Edge: done (memory/table.c). One says that it pops a chain, and dies when it
 * has, before it has put the chain anywhere; with -DUNPOPPED, before it has.
 * Another one changes the word meanwhile. Who repairs has to know whether the
 * chain was popped: taken for what it is not, it would be lost, or with two.
 */
#define COUNT 3
#include "table_client.h"

static struct sh_cache dead = { .mark = 1 };
static _Atomic bool is_dead;
static _Atomic int count;

static void take_one(struct sh_cache *c)
{
    if (take_item(c) != SH_NONE)
        sh_add_rlx(&count, 1); /* relaxed: a count */
}

static bool is_used(void *unused, uint32_t index, uint32_t of)
{
    (void)unused;
    (void)index;
    (void)of;
    return false;
}

static void *dying(void *unused)
{
#ifdef UNPOPPED
    uint64_t old = sh_load_acq(&table.chains);

    say_moving(&table, &dead, old, (uint32_t)old & SH_INDEX);
#else
    dead.moving = sh_table_peek(&table, &dead);
    dead.out = SH_NONE; /* as if that had not come to be */
#endif
    (void)unused;
    sh_store_rel(&is_dead, true); /* a death is a fence */
    return NULL;
}

static void *other(void *unused)
{
    struct sh_cache c = { .mark = 2 };

    (void)unused;
    take_one(&c);
    return NULL;
}

static void *mender(void *unused)
{
    (void)unused;
    __VERIFIER_assume(sh_load_acq(&is_dead));
    sh_table_mend(&table, &dead, is_used, NULL);
    take_one(&dead);
    return NULL;
}

int main(void)
{
    struct sh_cache c = { 0 };
    pthread_t one, two, three;

    table_make();
    assert(sh_table_take(&table, &c) == 1);
    assert(sh_table_take(&table, &c) == 2);
    give_item(&c, 1);
    give_item(&c, 2);
    one = thread_start(dying, NULL);
    two = thread_start(other, NULL);
    three = thread_start(mender, NULL);
    thread_join(one);
    thread_join(two);
    thread_join(three);
    /* relaxed: a count */
    assert(sh_load_rlx(&count) == 2);
    return 0;
}
