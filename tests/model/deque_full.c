/* SPDX-License-Identifier: MIT */
/*
 * deque_full.c - the owner fills a slot again as soon as a thief has left it.
 *
 * Edge: vacate (queue/deque.c). One slot: whatever is pushed second goes where
 * the thief reads. The owner never pops while the thieves run.
 */
#define SH_DEQUE_SLOTS 1
#include "client.h"

#include "../../runtime/queue/deque.c"

static struct sh_deque d;

static void *thief(void *unused)
{
    uint64_t hint;

    (void)unused;
    for (int i = 0; i < 2; i++)
        if (sh_deque_steal(&d, &hint) == SH_STEAL_GOT)
            take_hint(hint);
    return NULL;
}

int main(void)
{
    pthread_t one = thread_start(thief, NULL);
    pthread_t two = thread_start(thief, NULL);
    uint64_t hint;

    for (hint = 1; hint <= 3; hint++)
        if (!sh_deque_push(&d, make_hint(hint)))
            take_hint(hint);
    thread_join(one);
    thread_join(two);
    while (sh_deque_pop(&d, &hint))
        take_hint(hint);
    for (hint = 1; hint <= 3; hint++)
        assert(was_taken(hint));
    return 0;
}
