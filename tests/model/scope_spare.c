/* SPDX-License-Identifier: MIT */
/*
 * scope_spare.c - two who take cells of a scope that are to be used again, and
 * one of them gives its first back.
 *
 * Edge: spare (future/child.c). No cell is handed out twice at a time, though
 * what was seen in front may be in front again, with another behind it.
 */
#include "scope_client.h"

static uint32_t took[2][2];

static void *taker(void *unused)
{
    struct sh_scoping *s = &records[3].data.scoping;

    (void)unused;
    took[0][0] = pop_spare(&pool, s);
    took[0][1] = pop_spare(&pool, s);
    return NULL;
}

static void *giver(void *unused)
{
    struct sh_scoping *s = &records[3].data.scoping;
    uint32_t first = pop_spare(&pool, s);

    (void)unused;
    took[1][1] = pop_spare(&pool, s);
    if (first != SH_NONE)
        push_spare(&pool, s, first);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_scope(0);
    push_spare(&pool, &records[3].data.scoping, 1);
    push_spare(&pool, &records[3].data.scoping, 2);
    one = thread_start(taker, NULL);
    two = thread_start(giver, NULL);
    thread_join(one);
    thread_join(two);
    assert(took[0][0] != took[0][1] || took[0][0] == SH_NONE);
    assert(took[1][1] == SH_NONE ||
           (took[1][1] != took[0][0] && took[1][1] != took[0][1]));
    return 0;
}
