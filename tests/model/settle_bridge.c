/* SPDX-License-Identifier: MIT */
/*
 * settle_bridge.c - a waiter in another pool lets go while the future settles.
 *
 * Edges: cell, arrive (future/bridge.c, settle.c), hang, closed. The edge
 * leads to a cell that passes the arrival on. The one who waited gives up and
 * takes the edge off, as worker/await.c does; the settler may be delivering it
 * at the time. The cell is given back once, by one of the two.
 */
#include "settle_client.h"

static struct sh_cell cells[11];
static struct sh_pool other; /* where the waiter is */
static struct sh_ref ref;
static struct sh_hung hung;

static void *settler(void *unused)
{
    (void)unused;
    sh_settle_running(&pool, &records[1], 0, 0);
    return NULL;
}

static void *waiter(void *unused)
{
    (void)unused;
    sh_unhang(&other, &ref, &hung);
    return NULL;
}

int main(void)
{
    pthread_t one, two;
    unsigned given = 0;

    make_pool_with_queues();
    table(&pool.cells, cells, sizeof *cells, offsetof(struct sh_cell, link),
          11);
    for (uint32_t i = 0; i < 5; i++) {
        seats[i].cells.fresh = 2 * i + 1;
        seats[i].cells.fresh_end = 2 * i + 3;
    }
    make_record(1, SH_RUNNING, SH_KIND_TASK);
    make_record(2, SH_RUNNING, SH_KIND_TASK);
    find(handle_of(1), &ref);
    other.id = POOL; /* where what passes the bridge is found */
    assert(sh_hang(&other, &ref, sh_target(SH_TARGET_RECORD, 2, 0, GENERATION),
                   &hung) == SH_ATTACHED);
    one = thread_start(settler, NULL);
    two = thread_start(waiter, NULL);
    thread_join(one);
    thread_join(two);
    for (uint32_t i = 0; i < 5; i++)
        given += seats[i].cells.in_count;
    assert(given == 1);
    return 0;
}
