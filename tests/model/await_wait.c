/* SPDX-License-Identifier: MIT */
/*
 * await_wait.c - a thread outside sleeps while the future settles.
 *
 * Edges: arrive, cell, settled (worker/await.c, future/settle.c). As
 * await_in_thread does it, without the look before, which would take the
 * checker for ever: a cell, an edge, and sleep_on. The cell was used before,
 * and an arrival of that use comes late.
 */
#define FUTEX_IS_LOW_HALF
#include "settle_client.h"

#include "../../runtime/worker/await.c"

static struct sh_cell cells[2];

static uint64_t target_of(uint32_t generation)
{
    return sh_target(SH_TARGET_CELL, 1, 0, generation);
}

static void *settler(void *unused)
{
    (void)unused;
    value = 42;
    sh_settle_running(&pool, &records[1], 0, 0);
    return NULL;
}

static void *late(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    sh_deliver_to(&work, &pool, target_of(GENERATION), 0);
    return NULL;
}

static void *waiter(void *unused)
{
    struct sh_ref ref;
    struct sh_hung hung;
    uint32_t generation = sh_arrivals_renew(&cells[1].word);

    (void)unused;
    find(handle_of(1), &ref);
    sh_store_rel(&cells[1].kind, SH_CELL_WAITER); /* release: cell */
    switch (sh_hang(&pool, &ref, target_of(generation), &hung)) {
    case SH_ATTACHED:
        assert(sleep_on(&pool, &cells[1], INT64_MAX) == 0);
        break;
    case SH_ATTACH_SETTLED:
        break;
    case SH_ATTACH_NOMEM:
        assert(0);
    }
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
    threads[1] = thread_start(settler, NULL);
    threads[2] = thread_start(late, NULL);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    return 0;
}
