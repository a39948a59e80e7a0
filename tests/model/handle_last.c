/* SPDX-License-Identifier: MIT */
/*
 * handle_last.c - three handles of a settled future are given back at once.
 *
 * Edges: alias, last, idle (task/handle.c). The primary handle and two more.
 * Each holder reads the value, by the handle that it got, and gives it back;
 * one of them is the last, and frees the value.
 */
#include "record_client.h"

static _Atomic uint64_t passed[3];
static _Atomic int last;

static void give(uint64_t handle)
{
    struct sh_ref ref;

    find(handle, &ref);
    assert(ref.record == &records[1]);
    use_value();
    if (sh_handle_give(&ref) == SH_GIVEN_LAST) {
        free_value();
        sh_add_rlx(&last, 1); /* relaxed: a count */
    }
}

static void *holder(void *i)
{
    give(sh_load_rlx(&passed[(uintptr_t)i])); /* relaxed: main wrote it */
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
    struct sh_ref ref;

    make_pool();
    make_record(1, SH_DONE, SH_KIND_TASK);
    value = 42;
    find(handle_of(1), &ref);
    sh_store_rlx(&passed[0], handle_of(1)); /* relaxed: before the threads */
    for (int i = 1; i < HANDLES; i++)
        /* relaxed: before the threads */
        sh_store_rlx(&passed[i], sh_handle_alias(own_seat(), &ref, NULL));
    for (uintptr_t i = 0; i < HANDLES; i++)
        threads[i] = thread_start(holder, (void *)i);
    for (int i = 0; i < HANDLES; i++)
        thread_join(threads[i]);
    assert(sh_load_rlx(&last) == 1); /* relaxed: joined */
    return 0;
}
