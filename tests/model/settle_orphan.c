/* SPDX-License-Identifier: MIT */
/*
 * settle_orphan.c - the last handle is given back while the future settles.
 *
 * Edges: settled, idle (future/settle.c, task/handle.c). Somebody has hung on
 * it, or not (-DWATCHED), so that it settles in three steps, or in one.
 * Whoever is last of settler and holder frees it, once, and only after
 * both have used what it holds.
 */
#include "settle_client.h"

static void *settler(void *unused)
{
    (void)unused;
    value = 42;
    sh_settle_running(&pool, &records[1], 0, 0);
    return NULL;
}

static void *holder(void *unused)
{
    struct sh_work work = { 0 };
    struct sh_ref ref;

    (void)unused;
    find(handle_of(1), &ref);
    if (sh_is_settled(ref.word))
        use_value(); /* settled */
    if (sh_handle_give(&ref) == SH_GIVEN_LAST) {
        sh_work_free(&work, &pool, &records[1]);
        sh_work_do(&work);
    }
    return NULL;
}

int main(void)
{
    pthread_t one, two;
    uint64_t flags = 0;

    make_pool_with_queues();
#ifdef WATCHED
    flags = SH_WATCHED;
#endif
    make_record(1, SH_RUNNING | flags, SH_KIND_PROMISE);
    one = thread_start(settler, NULL);
    two = thread_start(holder, NULL);
    thread_join(one);
    thread_join(two);
    assert(value_gone == 1);
    assert(sh_load_rlx(&records[1].state) == /* relaxed: joined */
           ((uint64_t)(GENERATION + 1) << 32 | SH_FREE));
    return 0;
}
