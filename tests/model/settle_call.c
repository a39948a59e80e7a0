/* SPDX-License-Identifier: MIT */
/*
 * settle_call.c - a function of the host is hung on a future, and taken off
 * again, while that settles.
 *
 * Edges: cell, arrive (future/call.c, settle.c), hang, closed. What the call is
 * part of belongs to whoever sets the cell's arrival: the settler, which sees
 * it whole, or who took it off; a plain word finds two. It is called, or not,
 * as those who hung it are told, and the cell is given back once.
 */
#include "settle_client.h"

static struct sh_cell cells[11];
static struct sh_ref ref;
static struct {
    struct sh_call call;
    int tag, owners;
} entry;
static enum sh_attached how;
static bool ours;

static void called(struct sh_call *call)
{
    assert(call == &entry.call && entry.tag == 42);
    entry.owners++;
}

static void *settler(void *unused)
{
    (void)unused;
    sh_settle_running(&pool, &records[1], 0, 0);
    return NULL;
}

static void *adder(void *unused)
{
    struct sh_hung hung;

    (void)unused;
    entry.call.fn = called;
    entry.tag = 42;
    hung.target = sh_call_build(&ref, &entry.call);
    how = sh_call_hang(&ref, &hung);
    ours = how == SH_ATTACHED && sh_call_unhang(&ref, &hung);
    if (ours)
        entry.owners++;
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
    find(handle_of(1), &ref);
    one = thread_start(settler, NULL);
    two = thread_start(adder, NULL);
    thread_join(one);
    thread_join(two);
    assert(entry.owners == (how == SH_ATTACHED));
    for (uint32_t i = 0; i < 5; i++)
        given += seats[i].cells.in_count;
    assert(given == 1);
    return 0;
}
