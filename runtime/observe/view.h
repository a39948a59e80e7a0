/* SPDX-License-Identifier: MIT */
/*
 * observe/view.h - what a report says of a record that others are at work on.
 *
 * Idea. Everything that a view takes is a word of type-stable memory, and the
 * state word before and after tells whether all of it is of one use of the
 * record. A record that is another's by then has no view. input is not among
 * it: while a task runs, that word points into its stack.
 */
#ifndef SH_OBSERVE_VIEW_H
#define SH_OBSERVE_VIEW_H

#include "observe/text.h"
#include "task/pool.h"

struct sh_view {
    struct sh_pool *pool;
    uint32_t index;
    uint64_t word;
    unsigned kind;
    const shunt_task *task; /* NULL: none */
    const char *where;      /* NULL: not known */
    uint32_t made_ms;       /* a stamp */
};

/* Look at a record that is in use. False if it is not. */
bool sh_view_take(struct sh_pool *pool, uint32_t index, struct sh_view *out);

/* "task fetch", "when_all": what it is. */
void sh_view_put_kind(struct sh_text *t, const struct sh_view *v);

/* "#12 fetch", "#12@2 fetch" where pool 2 is not `here`: how others call it. */
void sh_view_put_name(struct sh_text *t, const struct sh_view *v,
                      const struct sh_pool *here);

/* ", submitted at main.c:12", if that is known. */
void sh_view_put_where(struct sh_text *t, const struct sh_view *v);

#endif /* SH_OBSERVE_VIEW_H */
