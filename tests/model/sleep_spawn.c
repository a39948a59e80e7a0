/* SPDX-License-Identifier: MIT */
/*
 * sleep_spawn.c - a task that never ends pushes another: a thief gets it,
 * though it was about to fall asleep.
 *
 * Edges: sleep (queue/deque.c, sync/sleep.c).
 */
#define SH_DEQUE_SLOTS 1
#include "sleep_client.h"

#include "../../runtime/queue/deque.c"

static struct sh_deque d;

static bool find(uint64_t *hint_out)
{
    return sh_deque_steal(&d, hint_out) == SH_STEAL_GOT;
}

static bool look(void)
{
    return sh_deque_size(&d) > 0;
}

static void *thief(void *unused)
{
    (void)unused;
    take_hint(get(0));
    return NULL;
}

int main(void)
{
    uint64_t hint = make_hint(1);
    pthread_t one;

    sh_sleep_init(&sleepers, bells, 0, 1, false);
    one = thread_start(thief, NULL);
#ifdef MANY
    assert(sh_deque_push_many(&d, &hint, 1) == 1);
#else
    assert(sh_deque_push(&d, hint));
#endif
    sh_sleep_notify(&sleepers);
    thread_join(one);
    assert(was_taken(1));
    return 0;
}
