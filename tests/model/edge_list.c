/* SPDX-License-Identifier: MIT */
/*
 * edge_list.c - dependants hang on and let go while the future settles.
 *
 * Edges: watch, hang, closed, list, dead (future/edge.c). Two dependants hang
 * there when all begins, one on the first edge and one on the list. A thread
 * takes that one off; another hangs a third on, which may reuse the edge, add
 * one, or come too late; a third settles. With -DFIRST nobody hangs there yet,
 * and the one who comes gets the first edge.
 */
#include "record_client.h"

static int made_ready[ITEMS];       /* what a dependant prepared, plain */
static _Atomic int delivered[ITEMS]; /* by bit of the target */
static sh_hook hook_of_2;

static uint64_t target(unsigned bit)
{
    return sh_target(SH_TARGET_CELL, 1, bit, GENERATION);
}

static bool deliver(void *to, struct sh_pool *p, uint64_t t)
{
    unsigned bit = sh_target_bit(t);

    (void)to;
    (void)p;
    assert(bit >= 1 && bit <= 3);
    assert(made_ready[bit] == 1); /* hang */
    sh_add_rlx(&delivered[bit], 1); /* relaxed: a count */
    return true;
}

static void *settler(void *unused)
{
    struct sh_record *r = &records[1];
    uint64_t w;

    (void)unused;
    value = 42;
    w = sh_load_rlx(&r->state); /* relaxed: the CAS validates it */
    while (!sh_cas_acqrel(&r->state, &w,
                          sh_word_to(w, SH_COMPLETE, 0))) /* acq_rel: watch */
        continue;
    assert((w & SH_WATCHED) != 0);
    assert(sh_edge_close(&pool, r, deliver, NULL));
    return NULL;
}

static void *leaver(void *unused)
{
    (void)unused;
    if (sh_edge_detach(&pool, &records[1], hook_of_2, target(2)))
        sh_add_rlx(&delivered[2], 1); /* relaxed: a count */
    return NULL;
}

static void *comer(void *unused)
{
    sh_hook hook;

    (void)unused;
    made_ready[3] = 1;
    switch (sh_edge_attach(&pool, &records[1], GENERATION, target(3), &hook)) {
    case SH_ATTACH_SETTLED:
        use_value(); /* settled, closed */
        sh_add_rlx(&delivered[3], 1); /* relaxed: a count */
        break;
    case SH_ATTACHED:
        break;
    case SH_ATTACH_NOMEM:
        assert(0);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
#ifndef FIRST
    sh_hook hook;
#endif

    make_pool();
#ifdef FIRST
    make_record(1, SH_RUNNING | SH_WATCHED, SH_KIND_TASK);
    threads[0] = thread_start(settler, NULL);
    threads[1] = thread_start(comer, NULL);
    thread_join(threads[0]);
    thread_join(threads[1]);
#else
    make_record(1, SH_RUNNING, SH_KIND_TASK);
    made_ready[1] = made_ready[2] = 1;
    assert(sh_edge_attach(&pool, &records[1], GENERATION, target(1),
                          &hook) == SH_ATTACHED);
    assert(hook == 0);
    assert(sh_edge_attach(&pool, &records[1], GENERATION, target(2),
                          &hook_of_2) == SH_ATTACHED);
    assert(hook_of_2 == 1);
    threads[0] = thread_start(settler, NULL);
    threads[1] = thread_start(leaver, NULL);
    threads[2] = thread_start(comer, NULL);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    /* Nobody is forgotten. relaxed: joined. Who lets go while he is told may
     * be both. */
    assert(sh_load_rlx(&delivered[1]) == 1);
    assert(sh_load_rlx(&delivered[2]) == 1 || sh_load_rlx(&delivered[2]) == 2);
#endif
    /* relaxed: joined */
    assert(sh_load_rlx(&delivered[3]) == 1);
    return 0;
}
