/* SPDX-License-Identifier: MIT */
/*
 * worker/belongings.c - what a run has: where it goes, and that it stays.
 *
 * Edges.
 *   attached task/error.c
 *   death    process/recover.c
 *   noted    future/ledger.c
 */
#include "task/error.h"
#include "worker/worker.h"

void sh_run_attach(struct sh_run *run)
{
    struct sh_block *first = run->blocks.first, *last = first;

    if (first == NULL)
        return;
    while (last->next != NULL)
        last = last->next;
    sh_attach(run->record, first, last);
    /* Last, so that none of them is nobody's if we die. release: death */
    sh_store_bare_rel(&run->blocks.first, NULL);
}

static bool is_attached(struct sh_record *r, const struct sh_block *block)
{
    const struct sh_block *b =
        sh_load_acq(&r->attached); /* acquire: attached */

    while (b != NULL && b != block)
        b = b->next;
    return b != NULL;
}

void sh_run_cut(struct sh_run *run)
{
    struct sh_block *b = run->blocks.first;

    if (is_attached(run->record, b))
        run->blocks.first = b = NULL;
    while (b != NULL && b->next != NULL && !is_attached(run->record, b->next))
        b = b->next;
    if (b != NULL)
        b->next = NULL;
}

static void keep(struct sh_run *run, const struct sh_ledger *l)
{
    if (l->room > sizeof l->few / sizeof l->few[0])
        sh_heap_keep(&run->pool->heap, l->names);
}

void sh_run_lay_down(struct sh_run *run)
{
    sh_run_cut(run);
    sh_run_attach(run);
    sh_run_forget_text(run);
    keep(run, &run->handles);
    keep(run, &run->promises);
}
