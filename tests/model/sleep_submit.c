/* SPDX-License-Identifier: MIT */
/*
 * sleep_submit.c - a worker falls asleep while a thread outside submits.
 *
 * Edges: sleep (queue/ring.c, sync/sleep.c), ring (sync/sleep.c).
 */
#include "sleep_client.h"

#include "../../runtime/queue/ring.c"

static struct sh_cell_of_ring cells[1];
static struct sh_ring injector;

static bool find(uint64_t *hint_out)
{
    return sh_ring_pop(&injector, hint_out, 1) > 0;
}

static bool look(void)
{
    return sh_ring_size(&injector) > 0;
}

static void *worker(void *unused)
{
    (void)unused;
    take_hint(get(0));
    return NULL;
}

int main(void)
{
    pthread_t one;

    sh_ring_init(&injector, cells, 1);
    sh_sleep_init(&sleepers, bells, 0, 1, false);
    one = thread_start(worker, NULL);
    assert(sh_ring_push(&injector, make_hint(1), UINT64_MAX));
    sh_sleep_notify(&sleepers);
    thread_join(one);
    assert(was_taken(1));
    return 0;
}
