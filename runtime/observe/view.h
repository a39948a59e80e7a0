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
    uint32_t made_ms;       /* a stamp, if sh_view_has_age */
};

/* Whether its stamp is there to be seen: it is not while its place is used to
 * put the record into a list. */
bool sh_view_has_age(const struct sh_view *v);

/* Look at a record that is in use. False if it is not. */
bool sh_view_take(struct sh_pool *pool, uint32_t index, struct sh_view *out);

/* "task fetch", "when_all": what it is. */
void sh_view_put_kind(struct sh_text *t, const struct sh_view *v);

/* "#12 fetch", "#12@2 fetch" where pool 2 is not `here`: how others call it. */
void sh_view_put_name(struct sh_text *t, const struct sh_view *v,
                      const struct sh_pool *here);

/* "submitted at main.c:12" behind that, if it is known. */
void sh_view_put_where(struct sh_text *t, const struct sh_view *v,
                       const char *behind);

#endif /* SH_OBSERVE_VIEW_H */
