/* SPDX-License-Identifier: MIT */
/*
 * settle_follow.c - a step is built on a future while that one settles.
 *
 * Edges: watch, hang, closed, arrive, accept, settled, ready (future/edge.c,
 * settle.c, step.c). Whoever of builder and settler comes second makes the
 * step READY, and a worker that looks at its state, not at a queue, may run it
 * and reads what both have written.
 */
#include "settle_client.h"

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

static void *builder(void *unused)
{
    struct sh_work work = { 0 };
    struct sh_ref ref;

    (void)unused;
    find(handle_of(1) | SH_HANDLE_LENT, &ref);
    records[2].where = "built"; /* plain: read by whoever runs the step */
    assert(sh_follow(&work, &pool, &records[2], &ref));
    sh_work_do(&work);
    return NULL;
}

/* From worker/run.c: the claim. */
static void *worker(void *unused)
{
    struct sh_record *r = &records[2];
    uint64_t w = sh_load_acq(&r->state); /* acquire: ready */

    (void)unused;
    if (sh_phase_of(w) == SH_READY &&
        sh_cas_acqrel(&r->state, &w,
                      sh_word_to(w, SH_RUNNING, SH_OWNER_WORKER(0)))) {
        /* acq_rel: claim */
        assert(r->where != NULL);
        use_value();
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
    enum sh_phase phase;

    make_pool_with_queues();
    make_record(1, SH_RUNNING | SH_LENT, SH_KIND_TASK);
    make_record(2, SH_INIT, SH_KIND_THEN);
    threads[0] = thread_start(settler, NULL);
    threads[1] = thread_start(builder, NULL);
    threads[2] = thread_start(worker, NULL);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    phase = sh_phase_of(sh_load_rlx(&records[2].state)); /* relaxed: joined */
    assert(phase == SH_READY || phase == SH_RUNNING);
    assert(sh_ring_size(&pool.camps[0].side) == 1);
    return 0;
}
