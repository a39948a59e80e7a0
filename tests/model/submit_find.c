/* SPDX-License-Identifier: MIT */
/*
 * submit_find.c - a task is looked up, and claimed, as soon as it is READY.
 *
 * Edges: accepted (future/submit.c, task/handle.c, worker/run.c, find.c),
 * claim. One thread submits; one looks the handle up, which it may have got
 * from anywhere; the worker finds the record by its hint, or with -DTABLE by
 * a look through the table.
 */
#include "submit_client.h"

static void *submitter(void *unused)
{
    uint64_t handle;

    (void)unused;
    assert(submit(&pool, &nothing, NULL, "here", INT64_MAX, &handle) == 0);
    assert(handle == handle_of(1));
    return NULL;
}

static void *finder(void *unused)
{
    struct sh_ref ref;

    (void)unused;
    if (sh_handle_find(handle_of(1), SH_LOOK, &ref) == 0)
        assert(ref.record->where != NULL);
    return NULL;
}

static void *runner(void *unused)
{
    uint64_t hint;

    (void)unused;
    be_worker();
#ifdef TABLE
    worker.rescan_done = 1; /* as if a hint had got lost */
    hint = from_table(&worker);
#else
    hint = sh_worker_find(&worker);
#endif
    if (hint != 0)
        (void)run_task(hint);
    return NULL;
}

int main(void)
{
    pthread_t threads[3];

    make_pool_with_worker();
    sh_store_rlx(&pool.records.used, 2); /* relaxed: before the threads */
    threads[0] = thread_start(submitter, NULL);
    threads[1] = thread_start(finder, NULL);
    threads[2] = thread_start(runner, NULL);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    return 0;
}
