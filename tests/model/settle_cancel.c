/* SPDX-License-Identifier: MIT */
/*
 * settle_cancel.c - a step is cancelled while the future that it waits for
 * settles.
 *
 * Edges: hang, closed, arrive, ready, settled, idle (future/cancel.c,
 * settle.c, edge.c). The canceller takes the step off its input and gives the
 * input back, if the settler has not made the step READY, and even then: it
 * has not started. The step is cancelled once, and the input is freed once.
 */
#include "settle_client.h"

#include "../../runtime/future/cancel.c"
#define attach attach_step /* step.c has names of its own for these */
#define give give_step
#define check check_step
#include "../../runtime/future/step.c"
#undef attach
#undef give
#undef check

static void *settler(void *unused)
{
    (void)unused;
    value = 42;
    sh_settle_running(&pool, &records[1], 0, 0);
    return NULL;
}

static void *canceller(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    assert(sh_cancel_ask(&work, &pool, &records[2], GENERATION) == 1);
    sh_work_do(&work);
    return NULL;
}

int main(void)
{
    struct sh_work work = { 0 };
    struct sh_ref ref;
    pthread_t one, two;
    uint64_t w;

    make_pool_with_queues();
    make_record(1, SH_RUNNING | SH_LENT, SH_KIND_TASK);
    make_record(2, SH_INIT, SH_KIND_THEN);
    find(handle_of(1) | SH_HANDLE_LENT, &ref);
    assert(sh_follow(&work, &pool, &records[2], &ref));
    one = thread_start(settler, NULL);
    two = thread_start(canceller, NULL);
    thread_join(one);
    thread_join(two);
    w = sh_load_rlx(&records[2].state); /* relaxed: joined */
    assert(sh_phase_of(w) == SH_DONE);
    assert(sh_outcome_code(sh_outcome_of(w)) == SHUNT_ECANCELED);
    assert(value_gone == 1);
    return 0;
}
