/* SPDX-License-Identifier: MIT */
/*
 * deque_greedy.c - one thief steals again and again while the owner works.
 *
 * Edges: publish, last, vacate (queue/deque.c). A thief that has read an old
 * bottom may walk past it: here it makes three steals against an owner that
 * pushes two at once, pops both, and pushes once more.
 */
#define SH_DEQUE_SLOTS 2
#include "client.h"

#include "../../runtime/queue/deque.c"

static struct sh_deque d;

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
    for (int i = 0; i < 3; i++)
        if (sh_deque_steal(&d, &hint) == SH_STEAL_GOT)
            take_hint(hint);
    return NULL;
}

int main(void)
{
    uint64_t both[2] = { make_hint(1), make_hint(2) };
    pthread_t one = thread_start(thief, NULL);
    uint64_t hint;

    assert(sh_deque_push_many(&d, both, 2) == 2);
    pop();
    pop();
    assert(sh_deque_push(&d, make_hint(3)));
    pop();
    thread_join(one);
    while (sh_deque_pop(&d, &hint))
        take_hint(hint);
    for (hint = 1; hint <= 3; hint++)
        assert(was_taken(hint));
    return 0;
}
