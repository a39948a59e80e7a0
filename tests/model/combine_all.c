/* SPDX-License-Identifier: MIT */
/*
 * combine_all.c - a combinator is built while its two inputs settle.
 *
 * Edges: accept, arrive (future/combine.c, settle.c). The real hanging,
 * arrivals and verdict; the block and what happens after the verdict are here.
 * The last of builder and settlers acts, once, and has seen what it needs: both
 * inputs, or with -DKIND=SH_KIND_RACE the one that won.
 */
#include "settle_client.h"

#ifndef KIND
#define KIND SH_KIND_ALL
#endif

/* Left out, since unused: the checker cannot copy structures. */
#define sh_combine_conclude static unused_conclude
#include "../../runtime/future/combine.c"
#include "../../runtime/future/sift.c"
#undef sh_combine_conclude

static int values[4]; /* of records 1 and 3: plain */
static int concluded;
static struct sh_hung hung[2];
static struct sh_combine block;

unsigned sh_combine_conclude(struct sh_work *work, struct sh_pool *p,
                             struct sh_record *r, unsigned outcome)
{
    uint64_t verdict = sh_load_acq(&r->input); /* acquire: accept */

    (void)work;
    (void)p;
    assert(r == &records[2] && outcome == 0);
    assert(concluded++ == 0);
    if (KIND == SH_KIND_ALL)
        assert(values[1] == 1 && values[3] == 3);
    else
        assert(values[1 + 2 * sh_verdict_index(verdict)] != 0);
    return 0;
}

static void *settler(void *i)
{
    uintptr_t n = (uintptr_t)i;

    values[n] = (int)n;
    sh_settle_running(&pool, &records[n], 0, 0);
    return NULL;
}

static void *builder(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    for (uint32_t i = 0; i < 2; i++) {
        struct sh_ref ref;

        find(handle_of(1 + 2 * i) | SH_HANDLE_LENT, &ref);
        sh_combine_hang(&work, &pool, &records[2], i, &ref);
    }
    sh_combine_accept(&work, &pool, &records[2]);
    sh_work_do(&work);
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
    struct sh_record *r;

    make_pool_with_queues();
    make_record(1, SH_RUNNING | SH_LENT, SH_KIND_TASK);
    make_record(3, SH_RUNNING | SH_LENT, SH_KIND_TASK);
    r = make_record(2, SH_INIT, KIND);
    block.n = 2;
    block.hung = hung;
    r->data.combining.more = &block;
    sh_store_rlx(&r->data.combining.count, 2); /* relaxed: alone */
    sh_store_rlx(&r->input, sh_verdict_make(GENERATION, SH_VERDICT_NONE,
                                            0)); /* relaxed: alone */
    threads[0] = thread_start(builder, NULL);
    threads[1] = thread_start(settler, (void *)1);
    threads[2] = thread_start(settler, (void *)3);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    assert(concluded == 1);
    assert(sh_phase_of(sh_load_rlx(&r->state)) == SH_DONE); /* relaxed: joined
                                                             */
    return 0;
}
