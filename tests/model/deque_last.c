/* SPDX-License-Identifier: MIT */
/*
 * deque_last.c - the owner and two thieves meet at the last hint.
 *
 * Edges: publish, last, vacate (queue/deque.c). Two slots, so that the third
 * push goes to the slot of the first hint.
 */
#define SH_DEQUE_SLOTS 2
#include "client.h"

#include "../../runtime/queue/deque.c"

static struct sh_deque d;

static void push(uint64_t hint)
{
    if (!sh_deque_push(&d, make_hint(hint)))
        take_hint(hint); /* full: the owner keeps it */
}

static void pop(void)
{
    uint64_t hint;

    if (sh_deque_pop(&d, &hint))
        take_hint(hint);
}

static void *thief(void *unused)
{
    uint64_t hint;

    (void)unused;
    if (sh_deque_steal(&d, &hint) == SH_STEAL_GOT)
        take_hint(hint);
    return NULL;
}

int main(void)
{
    pthread_t one = thread_start(thief, NULL);
    pthread_t two = thread_start(thief, NULL);
    uint64_t hint;

    push(1);
    push(2);
    pop();
    push(3);
    pop();
    pop();
    thread_join(one);
    thread_join(two);
    /* Nobody else is left, so that empty means empty. */
    while (sh_deque_pop(&d, &hint))
        take_hint(hint);
    for (hint = 1; hint <= 3; hint++)
        assert(was_taken(hint));
    assert(sh_deque_size(&d) == 0);
    return 0;
}
