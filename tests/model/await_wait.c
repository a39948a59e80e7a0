/* SPDX-License-Identifier: MIT */
/*
 * await_wait.c - a thread outside sleeps while the future settles.
 *
 * Edges: arrive, cell, settled (worker/await.c, future/settle.c). As
 * await_in_thread does it, without the look before, which would take the
 * checker for ever: a cell, an edge, and sleep_on. The cell was used before,
 * and an arrival of that use comes late. With -DTIME the wait may run out
 * instead, by the pool's own clock; with -DALONE nothing else ends it.
 */
#define FUTEX_IS_LOW_HALF
#include "timeout.h"

#define heeded heeded_here /* deliver.c has a name of its own for this */
#include "../../runtime/worker/await.c"
#undef heeded

static struct sh_cell cells[2];

#ifdef ALONE
#define TIME
#else
static void *settler(void *unused)
{
    (void)unused;
    value = 42;
    sh_settle_running(&pool, &records[1], 0, 0);
    return NULL;
}
#endif

#ifndef TIME
#define THIRD late
static void *late(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    sh_deliver_to(&work, &pool, sh_target(SH_TARGET_CELL, 1, 0, GENERATION),
                  0);
    return NULL;
}
#else
#define THIRD let_happen
#endif

static void *waiter(void *unused)
{
    uint32_t generation = sh_arrivals_renew(&cells[1].word);
    struct sh_ref ref;
    struct sh_hung hung;
    int rc = 0;

    (void)unused;
    find(handle_of(1), &ref);
    sh_store_rel(&cells[1].kind, SH_CELL_WAITER); /* release: cell */
    switch (sh_hang(&pool, &ref, sh_target(SH_TARGET_CELL, 1, 0, generation),
                    &hung)) {
    case SH_ATTACHED:
#ifdef TIME
        assert(limit(&pool, sh_timer_of_cell(&pool, 1), generation, 5) == 0);
#endif
        rc = sleep_on(&pool, &cells[1], INT64_MAX);
        break;
    case SH_ATTACH_SETTLED:
        break;
    case SH_ATTACH_NOMEM:
        assert(0);
    }
#ifdef TIME
    if (rc == SHUNT_PENDING)
        return NULL;
#endif
    assert(rc == 0);
    use_value(); /* settled, arrive */
    return NULL;
}

int main(void)
{
    pthread_t threads[3];

    make_pool_with_queues();
    pool.cells.items = (char *)cells;
    pool.cells.stride = sizeof *cells;
    pool.cells.capacity = 2;
    sh_store_rlx(&cells[1].kind, SH_CELL_WAITER); /* relaxed: alone */
    sh_store_rlx(&cells[1].word,
                 (uint64_t)GENERATION << 32); /* relaxed: alone */
    make_record(1, SH_RUNNING, SH_KIND_TASK);
    threads[0] = thread_start(waiter, NULL);
#ifdef ALONE
    threads[1] = thread_start(let_happen, &pool);
#else
    threads[1] = thread_start(settler, NULL);
    threads[2] = thread_start(THIRD, NULL);
    thread_join(threads[2]);
#endif
    thread_join(threads[0]);
    thread_join(threads[1]);
    return 0;
}
