/* SPDX-License-Identifier: MIT */
/*
 * handle_alias.c - a handle is given back as soon as it is made.
 *
 * Edges: alias, last, idle (task/handle.c). One thread makes a second handle
 * and gives the first one back. The other got the second in no order at all:
 * it is counted before it can be found. Whoever is last frees the value.
 */
#include "record_client.h"

static _Atomic uint64_t passed;
static _Atomic int last, given;

static void give(uint64_t handle)
{
    struct sh_ref ref;

    if (sh_handle_find(handle, SH_LOOK, &ref) != 0)
        return; /* not there yet */
    use_value();
    sh_add_rlx(&given, 1); /* relaxed: a count */
    if (sh_handle_give(&ref) == SH_GIVEN_LAST) {
        free_value();
        sh_add_rlx(&last, 1); /* relaxed: a count */
    }
}

static void *maker(void *unused)
{
    struct sh_ref ref;

    (void)unused;
    find(handle_of(1), &ref);
    /* relaxed: on purpose */
    sh_store_rlx(&passed, sh_handle_alias(own_seat(), &ref, NULL));
    give(handle_of(1));
    return NULL;
}

static void *taker(void *unused)
{
    uint64_t handle = sh_load_rlx(&passed); /* relaxed: on purpose */

    (void)unused;
    if (handle != 0)
        give(handle);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool();
    make_record(1, SH_DONE, SH_KIND_TASK);
    value = 42;
    one = thread_start(maker, NULL);
    two = thread_start(taker, NULL);
    thread_join(one);
    thread_join(two);
    /* relaxed: joined */
    assert(sh_load_rlx(&last) == (sh_load_rlx(&given) == 2));
    return 0;
}
