/* SPDX-License-Identifier: MIT */
/*
 * registry_seat.c - a thread drops its seat at a pool that is being freed.
 *
 * Edge: cleared (task/registry.c). The thread has a seat at each of two pools.
 * The first goes, and takes the seat from its thread; that one frees the seat
 * when it comes by, on its way to the other.
 */
#include "registry_client.h"

static struct sh_pool pools[2];

static void *owner(void *unused)
{
    (void)unused;
    assert(sh_seat_find(&pools[1]) != NULL);
    return NULL;
}

int main(void)
{
    pthread_t one;

    assert(sh_registry_add(&pools[0]) && sh_registry_add(&pools[1]));
    assert(sh_seat_find(&pools[1]) != NULL && sh_seat_find(&pools[0]) != NULL);
    one = thread_start(owner, NULL);
    sh_seats_clear(&pools[0]);
    thread_join(one);
    return 0;
}
