/* SPDX-License-Identifier: MIT */
/*
 * task/taken.h - the task that a spawned call becomes when a worker takes it.
 */
#ifndef SH_TASK_TAKEN_H
#define SH_TASK_TAKEN_H

#include "shunt/forkjoin.h"
#include "task/data.h"

/* Its input. */
struct sh_taken {
    struct shunt_frame_ *frame;
    shunt_frame_run_ *fn;
    struct sh_run *outer; /* whose call it is, who waits for it */
    uint64_t whole;       /* the hint of the task that it is a part of */
};

static inline bool sh_record_is_taken(const struct sh_record *r)
{
    return r->task != NULL && r->task->shape_ == SH_SHAPE_TAKEN;
}

/* The record of the task that it is a part of, or itself; while it has not
 * settled. */
static inline struct sh_record *sh_record_whole(struct sh_record *r)
{
    while (sh_record_is_taken(r))
        r = ((struct sh_taken *)sh_record_in(r))->outer->record;
    return r;
}

#endif /* SH_TASK_TAKEN_H */
