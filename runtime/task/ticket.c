/* SPDX-License-Identifier: MIT */
/*
 * task/ticket.c - tickets and their memory: see ticket.h.
 *
 * Edges.
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
    for (uint32_t i = 0; i < t->failures; i++)
        sh_block_free(t->failure[i]);
    if (t->end != NULL)
        sh_block_free(t->end);
    sh_block_free(sh_block_of(t));
}

void sh_ticket_let_go(struct sh_ticket *t)
{
    uint32_t before = sh_sub_acqrel(&t->holders, 1); /* acq_rel: leave */

    SH_ASSERT(before > 0);
    if (before == 1)
        sh_ticket_free(t);
}
