/* SPDX-License-Identifier: MIT */
/*
 * task/ticket.c - tickets and their memory: see ticket.h.
 *
 * Edges.
 *   death    process/recover.c
 *   leave    leave: what one did with the input, lower the count -> whoever
 *            lowers it to 0: drops it, or frees it
 */
#include "task/ticket.h"

#include <string.h>

struct sh_ticket *sh_ticket_new(struct sh_pool *pool, const shunt_task *task,
                                const void *in)
{
    bool none = (task->shape_ & SHUNT_SHAPE_IN_NONE_) != 0;
    size_t align = task->in_align_ > 16 ? task->in_align_ : 16;
    struct sh_block *b;
    struct sh_ticket *t;
    uintptr_t at;

    if (task->in_size_ > PTRDIFF_MAX - align - sizeof *t)
        return NULL;
    b = sh_block_new(&pool->heap, sizeof *t + align + task->in_size_,
                     SH_BLOCK_VALUE);
    if (b == NULL)
        return NULL;
    t = sh_block_bytes(b);
    memset(t, 0, sizeof *t);
    at = (uintptr_t)(t + 1);
    t->in = (void *)((at + align - 1) & ~(uintptr_t)(align - 1));
    if (!none)
        memcpy(t->in, in, task->in_size_);
    sh_store_rlx(&t->users, 1); /* relaxed: ours until a record has it */
    return t;
}

void sh_ticket_hold(struct sh_ticket *t, struct sh_record *r)
{
    sh_add_rlx(&t->holders, 1); /* relaxed: whoever adds one is, or has, one */
    *(struct sh_ticket **)sh_record_in(r) = t;
}

void sh_ticket_free(struct sh_ticket *t)
{
    SH_ASSERT(sh_load_rlx(&t->holders) == 0); /* relaxed: we are alone */
    for (uint32_t i = 0; i < SH_FAILURES && !t->concluded; i++)
        if (t->failure[i] != NULL)
            sh_block_free(t->failure[i]);
    if (t->end != NULL && !t->concluded)
        sh_block_free(t->end);
    sh_block_free(sh_block_of(t));
}

/* Linked before it is kept, and made scratch again before it is linked no more:
 * so that a death leaves what is found, or takes it along. */
void sh_ticket_put(struct sh_block **place, struct sh_block *b)
{
    struct sh_block *old = *place;

    if (old != NULL)
        sh_block_scrap(old);
    sh_store_bare_rel(place, b); /* release: death */
    if (b != NULL)
        sh_block_keep(b);
    if (old != NULL)
        sh_block_free(old);
}

struct sh_block *sh_ticket_failure(struct sh_ticket *t, uint32_t n)
{
    struct sh_block *b = *sh_ticket_place(t, n);
    const shunt_error *e = b != NULL ? sh_block_bytes(b) : NULL;

    return e != NULL && e->attempts == n ? b : NULL;
}

uint32_t sh_ticket_failures(struct sh_ticket *t,
                            const shunt_error *errors_out[SH_FAILURES])
{
    uint32_t last = sh_load_rlx(&t->made); /* relaxed: only the caller, who owns
                                            * the record, writes it */
    uint32_t n = last > SH_FAILURES ? last - SH_FAILURES : 0, count = 0;

    while (n++ < last)
        if (sh_ticket_failure(t, n) != NULL)
            errors_out[count++] = sh_block_bytes(sh_ticket_failure(t, n));
    return count;
}

void sh_ticket_keep(struct sh_ticket *t)
{
    for (uint32_t i = 0; i < SH_FAILURES && !t->concluded; i++)
        if (t->failure[i] != NULL)
            sh_block_keep(t->failure[i]);
    if (t->end != NULL && !t->concluded)
        sh_block_keep(t->end);
}

void sh_ticket_let_go(struct sh_ticket *t)
{
    uint32_t before = sh_sub_acqrel(&t->holders, 1); /* acq_rel: leave */

    SH_ASSERT(before > 0);
    if (before == 1)
        sh_ticket_free(t);
}
