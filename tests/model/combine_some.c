/* SPDX-License-Identifier: MIT */
/*
 * combine_some.c - the inputs of a combinator that wants one of two settle.
 *
 * Edges: arrive, accept, cell, fewer (future/combine.c, future/quorum.c). The
 * real bits and hints; the block and what happens after the verdict are here.
 * It concludes once, with a value that its owner may read, or with -DFAILED=2
 * when both have failed. Whoever comes late, with -DFAILED=1 a failure, does
 * not count in the next use of the cells; with -DNO_CELLS the bits are in the
 * record.
 *
 * -DLEAVES=2: both must succeed, and arrive in a leaf each. With -DDEAD record 1
 * is settled by one who dies when it has
 * set its bit, and before it counts down. Recovery counts the death, and tells
 * again, while the other settles.
 */
#include "settle_client.h"

#ifndef FAILED
#define FAILED 0
#endif

/* Left out, since unused: the checker cannot copy structures. */
#define sh_combine_conclude static unused_conclude
#include "../../runtime/future/combine.c"
#include "../../runtime/future/quorum.c"
#include "../../runtime/future/sift.c"
#undef sh_combine_conclude

/* With two leaves there are inputs between the two that never come. */
#ifdef LEAVES
#define QUORUM 2
#define SECOND 14
#else
#define LEAVES 1
#define QUORUM 1
#define SECOND 1
#endif
#define CELLS (LEAVES + 2)

#define NEXT 7u /* to go, in the next use of a counter */

static struct sh_cell cells[CELLS + 1]; /* leaves, and two counters */
static int values[4];           /* of records 1 and 3: plain */
static int concluded;
static struct sh_hung hung[SECOND + 1];
static uint32_t names_of_cells[4] = { 1, 2, 3, 4 };
static struct sh_combine block;

/* As block_free does; and the cells are used again, each as a counter that is
 * reached from the others. */
static void use_again(void)
{
    uint64_t first;

    if (block.cells == 0)
        return;
    for (int i = 1; i <= CELLS; i++)
        (void)sh_arrivals_renew(&cells[i].word);
    first = sh_combine_cell(&pool, &block, 0, 0);
    for (int i = 1; i <= CELLS; i++) {
        sh_store_rel(&cells[i].up, first); /* release: cell */
        /* relaxed: as in combine.c */
        sh_store_rlx(&cells[i].word, sh_load_rlx(&cells[i].word) | NEXT);
    }
}

static bool gives(int i)
{
    return sh_is_settled(sh_load_acq(&records[i].state)) && /* acquire:
                                                             * settled */
           values[i] == i;
}

unsigned sh_combine_conclude(struct sh_work *work, struct sh_pool *p,
                             struct sh_record *r, unsigned outcome)
{
    (void)work;
    (void)p;
    assert(r == &records[2]);
    assert(outcome == (FAILED == 2 ? sh_outcome_from(SHUNT_EFAILED) : 0));
    assert(concluded++ == 0);
    if (FAILED == 2 || QUORUM == 2)
        assert(values[1] == 1 && values[3] == 3);
    else
        assert(gives(1) || gives(3));
    use_again();
    return outcome;
}

static void *settler(void *i)
{
    uintptr_t n = (uintptr_t)i;

    values[n] = (int)n;
    /* None, record 3, or both. */
    sh_settle_running(&pool, &records[n],
                      (int)n > 3 - 2 * FAILED ? sh_outcome_from(SHUNT_EFAILED)
                                              : 0,
                      0);
    return NULL;
}

#ifdef DEAD
/* Of sh_combine_arrive what comes before it counts down; then recovery. */
static void *recovery(void *target)
{
    struct sh_work work = { 0 };
    uint64_t to = *(uint64_t *)target, word;
    struct sh_tally t;

    values[1] = 1;
    assert(tally_of_leaf(sh_cell_at(&pool, sh_target_index(to)), to, &t));
    assert(set(&t, true, &word) == SH_ARRIVED_NEW);
    sh_add_sc(&pool.deaths, 1); /* seq_cst: fewer */
    sh_deliver_to(&work, &pool, to, 0);
    sh_work_do(&work);
    return NULL;
}
#endif

int main(void)
{
    struct sh_work work = { 0 };
    pthread_t threads[2];
    struct sh_record *r;

    make_pool_with_queues();
    table(&pool.cells, cells, sizeof *cells, offsetof(struct sh_cell, link), CELLS + 1);
    make_record(1, SH_RUNNING | SH_LENT, SH_KIND_TASK);
    make_record(3, SH_RUNNING | SH_LENT, SH_KIND_TASK);
    r = make_record(2, SH_INIT, SH_KIND_SOME);
    block.n = SECOND + 1;
    block.hung = hung;
    block.cell = names_of_cells;
#ifndef NO_CELLS
    block.cells = CELLS;
#endif
    r->data.combining.more = &block;
    sh_quorum_build(&pool, r, &block, QUORUM);
    sh_store_rlx(&r->input, sh_verdict_make(GENERATION, SH_VERDICT_NONE,
                                            0)); /* relaxed: alone */
    for (uint32_t i = 0; i < 2; i++) {
        struct sh_ref ref;

        find(handle_of(1 + 2 * i) | SH_HANDLE_LENT, &ref);
        sh_combine_hang(&work, &pool, r, i * SECOND, &ref);
    }
    sh_combine_accept(&work, &pool, r);
#ifdef DEAD
    uint64_t target = sh_combine_target(&pool, r, 0);

    threads[0] = thread_start(recovery, &target);
#else
    threads[0] = thread_start(settler, (void *)1);
#endif
    threads[1] = thread_start(settler, (void *)3);
    for (int i = 0; i < 2; i++)
        thread_join(threads[i]);
    assert(concluded == 1);
    for (int i = 1; i <= CELLS && block.cells > 0; i++) /* relaxed: joined */
        assert((uint32_t)sh_load_rlx(&cells[i].word) == NEXT);
    return 0;
}
