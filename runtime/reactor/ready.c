/* SPDX-License-Identifier: MIT */
/*
 * reactor/ready.c - the list of what has settled, oldest first: see entry.h.
 */
#include "reactor/entry.h"

void sh_ready_add(struct sh_ready *r, struct sh_entry *e)
{
    e->next = NULL;
    e->prev = r->last;
    if (r->last != NULL)
        r->last->next = e;
    else
        r->first = e;
    r->last = e;
    r->count++;
}

void sh_ready_remove(struct sh_ready *r, struct sh_entry *e)
{
    SH_ASSERT(r->count > 0);
    if (e->prev != NULL)
        e->prev->next = e->next;
    else
        r->first = e->next;
    if (e->next != NULL)
        e->next->prev = e->prev;
    else
        r->last = e->prev;
    r->count--;
}

void sh_ready_append(struct sh_ready *r, struct sh_ready *from)
{
    if (from->count == 0)
        return;
    from->first->prev = r->last;
    if (r->last != NULL)
        r->last->next = from->first;
    else
        r->first = from->first;
    r->last = from->last;
    r->count += from->count;
    *from = (struct sh_ready){ 0 };
}
