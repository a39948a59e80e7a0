/* SPDX-License-Identifier: MIT */
/*
 * scope_client.h - settle_client.h with scopes: record 3 is one, record 1 its
 * child that runs, record 2 one that may be submitted in it.
 *
 * A submit is the real one but for what future/submit.c does between INIT and
 * READY, which is here what concerns scopes.
 */
#ifndef SH_MODEL_SCOPE_CLIENT_H
#define SH_MODEL_SCOPE_CLIENT_H

#include <string.h>

#include "settle_client.h"

/* The checker cannot copy what this copies; nobody opens a scope here. */
#define memcpy copy_nothing
void copy_nothing(void *to, const void *from, size_t size);

#include "../../runtime/future/cancel.c"
#define end end_scope /* these files have names of their own for these */
#include "../../runtime/future/scope.c"
#include "../../runtime/future/child.c"
#undef end

static struct sh_cell cells[6];
static shunt_scope *const scope =
    (shunt_scope *)(uintptr_t)((uint64_t)POOL << 52 | (uint64_t)3 << 28 |
                               SH_SCOPE_BIT | GENERATION);

void sh_error_attach(struct sh_pool *p, struct sh_record *r,
                     const struct sh_failure *f)
{
    (void)p;
    (void)r;
    (void)f;
}

/* Make record i, in INIT, what the scope's child is. */
static uint64_t adopt(uint32_t i, struct sh_child *child)
{
    struct sh_record *r = make_record(i, SH_INIT, SH_KIND_TASK);
    /* relaxed: nobody else has it yet */
    uint64_t w = sh_load_rlx(&r->state);

    r->out_at = SH_BOUND;
    sh_bound_of(r)->scope = 1;
    return sh_scope_adopt(&pool, r, w, child);
}

int sh_submit_child(struct sh_pool *p, const shunt_task *task, const void *in,
                    const char *where, int64_t deadline_ns,
                    struct sh_child *child, uint64_t *handle_out)
{
    uint64_t w = adopt(2, child);

    (void)p, (void)task, (void)in, (void)where, (void)deadline_ns;
    *handle_out = handle_of(2);
    sh_store_sc(&records[2].state, sh_word_to(w, SH_READY, 0)); /* seq_cst:
                                                                 * sibling */
    return 0;
}

shunt_future *sh_submit_refuse(struct sh_pool *p, int rc)
{
    return sh_handle_failed(p->id, rc);
}

/* An open scope with one child, which runs. flags: of its hold. */
static void make_scope(uint64_t flags)
{
    struct sh_record *r;
    struct sh_child child;
    uint64_t w;

    make_pool_with_queues();
    table(&pool.cells, cells, sizeof *cells, offsetof(struct sh_cell, link), 6);
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        seats[i].cells.fresh = i + 1;
        seats[i].cells.fresh_end = i + 2;
    }
    r = make_record(3, SH_WAIT | SH_KEPT | SH_GONE | SH_ORPHAN, SH_KIND_SCOPE);
    /* relaxed: before the threads */
    sh_store_rlx(&r->hold, (uint64_t)GENERATION << 32 | flags | 1);
    child.scope = r;
    child.cell = 5;
    child.listed = false;
    w = adopt(1, &child);
    /* relaxed: before the threads */
    sh_store_rlx(&records[1].state,
                 sh_word_to(w, SH_RUNNING, SH_OWNER_WORKER(0)));
}

/* Of process pools alone. */
void sh_scope_begin(struct sh_pool *pool)
{
    (void)pool;
}

void sh_scope_done(struct sh_pool *pool)
{
    (void)pool;
}

#endif /* SH_MODEL_SCOPE_CLIENT_H */
