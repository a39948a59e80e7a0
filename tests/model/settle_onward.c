/* SPDX-License-Identifier: MIT */
/*
 * settle_onward.c - a future settles on its worker, which goes on with the step
 * behind it, while
 *
 *     -DBUILDS   that step is being built,
 *     -DCANCELS  it is cancelled, and gives the future back, or
 *     -DKEEPS    somebody who does not hold the future hangs on it.
 *
 * Edges: hang, closed, accept, claim, settled, watch, idle, list
 * (future/onward.c, step.c, keep.c, edge.c). The step is claimed, queued or
 * cancelled, and only one of these; the future is freed once, when nobody uses
 * its value any more; and who hung on it is told.
 */
#include "settle_client.h"

#include "../../runtime/future/cancel.c"
#include "../../runtime/future/onward.c"
#define attach attach_step /* step.c has names of its own for these */
#define give give_step
#define check check_step
#include "../../runtime/future/step.c"
#undef attach
#undef give
#undef check

static bool claimed; /* the settler's, until it is joined */

static void *settler(void *unused)
{
    (void)unused;
    sh_here.seat = own_seat();
    value = 42;
    claimed = sh_settle_onward(&pool, &records[1], SH_OWNER_WORKER(0)) ==
              &records[2];
    if (claimed) {
        assert(records[2].where != NULL);
        use_value();
        sh_settle_spent(&pool, handle_of(1) | SH_HANDLE_LENT);
    }
    return NULL;
}

#ifdef BUILDS
static void *other(void *unused)
{
    struct sh_ref ref;

    (void)unused;
    find(handle_of(1) | SH_HANDLE_LENT, &ref);
    records[2].where = "built"; /* plain: read by who goes on with the step */
    follow_first(&pool, &records[2], &ref,
                 /* relaxed: ours in INIT */
                 sh_load_rlx(&records[2].state));
    return NULL;
}

static void check_end(enum sh_phase phase)
{
    assert(phase == (claimed ? SH_RUNNING : SH_READY));
    assert(sh_ring_size(&pool.camps[0].side) == !claimed);
}
#endif

#ifdef CANCELS
static void *other(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    assert(sh_cancel_ask(&work, &pool, &records[2], GENERATION) == 1);
    sh_work_do(&work);
    return NULL;
}

static void check_end(enum sh_phase phase)
{
    assert(phase == (claimed ? SH_RUNNING : SH_DONE));
    /* What is freed in one go has no data. */
    assert(value_gone == !claimed);
    assert(sh_load_rlx(&records[1].state) == /* relaxed: joined */
           ((uint64_t)(GENERATION + 1) << 32 | SH_FREE));
}
#endif

#ifdef KEEPS
static bool hung;

static void *other(void *unused)
{
    uint64_t target = sh_target(SH_TARGET_RECORD, 3, 0, GENERATION);
    struct sh_work work = { 0 };
    uint64_t w = sh_load_acq(&records[1].state); /* acquire: settled */
    sh_hook hook;

    (void)unused;
    if (sh_generation_of(w) != GENERATION || !hold(&records[1], &w))
        return NULL;
    hung = sh_edge_attach(&pool, &records[1], GENERATION, target, &hook) ==
           SH_ATTACHED;
    sh_settle_idle(&work, &pool, &records[1], SH_HELD);
    sh_work_do(&work);
    return NULL;
}

static void check_end(enum sh_phase phase)
{
    assert(phase == SH_RUNNING || phase == SH_READY);
    assert(!hung || sh_phase_of(sh_load_rlx(&records[3].state)) == SH_READY);
    /* relaxed: joined */
}
#endif

int main(void)
{
    pthread_t one, two;

    make_pool_with_queues();
#ifdef BUILDS
    make_record(1, SH_RUNNING | SH_LENT | SH_WATCHED, SH_KIND_TASK);
    make_record(2, SH_INIT, SH_KIND_THEN);
#else
    make_record(1, SH_RUNNING | SH_LENT | SH_WATCHED, SH_KIND_TASK);
    make_record(2, SH_WAIT, SH_KIND_THEN);
    records[2].where = "built";
    /* relaxed: before the threads */
    sh_store_rlx(&records[1].edge0,
                 sh_target(SH_TARGET_RECORD, 2, 0, GENERATION));
#endif
    make_record(3, SH_WAIT, SH_KIND_THEN);
    /* relaxed: before the threads */
    sh_store_rlx(&records[2].input, handle_of(1) | SH_HANDLE_LENT);
    one = thread_start(settler, NULL);
    two = thread_start(other, NULL);
    thread_join(one);
    thread_join(two);
    check_end(
        sh_phase_of(sh_load_rlx(&records[2].state))); /* relaxed: joined */
    return 0;
}
