/* SPDX-License-Identifier: MIT */
/*
 * task/data.h - making records, and where a record's input and value lie.
 *
 *     task, step   | in or ctx | out |        inline if it fits 48 bytes
 *     promise      | type size align | value |
 *     combinator   | shunt_results or shunt_winner | ... |
 */
#ifndef SH_TASK_DATA_H
#define SH_TASK_DATA_H

#include "task/run.h"

/* A record in INIT, all its words set up; NULL if there is no memory. task
 * may be NULL for kinds without one. */
struct sh_record *sh_record_new(struct sh_pool *pool, struct sh_seat *seat,
                                unsigned kind, const shunt_task *task,
                                const char *where);

/* Make room for the data of a task, step or promise. False: no memory. */
bool sh_record_make_data(struct sh_pool *pool, struct sh_record *r);
void sh_record_free_data(struct sh_pool *pool, struct sh_record *r);

/* A record in INIT or RELEASING, seen with word, becomes FREE. */
void sh_record_retire(struct sh_pool *pool, struct sh_seat *seat,
                      struct sh_record *r, uint64_t word);

/* In (of a task) or ctx (of a step), and out, when they are in a block. */
void *sh_block_in(struct sh_record *r);
void *sh_block_out(struct sh_record *r);

/* The same, wherever they are. */
static inline void *sh_record_in(struct sh_record *r)
{
    return SH_LIKELY(r->out_at != SH_OUT_IN_BLOCK) ? r->data.bytes
                                                   : sh_block_in(r);
}

static inline void *sh_record_out(struct sh_record *r)
{
    return SH_LIKELY(r->out_at != SH_OUT_IN_BLOCK)
               ? r->data.bytes + r->out_at
               : sh_block_out(r);
}

struct sh_value {
    void *bytes;
    size_t size, align;
    const char *type;
    bool lent_only; /* shunt_results, shunt_winner */
};

/* What a record that succeeded, not forwarded, has as its value. */
struct sh_value sh_record_value(struct sh_record *r);

/* Call the drop hook of a record whose task no longer runs, if it has one. */
void sh_record_drop_in(struct sh_record *r, unsigned kind);

/* The status with which a task must not be accepted, or 0. */
int sh_task_check(const struct sh_pool *pool, const shunt_task *task);

#endif /* SH_TASK_DATA_H */
