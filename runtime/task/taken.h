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
    struct sh_run *outer;   /* whose call it is, who waits for it, */
    uint64_t owner;         /* the hint of that one's record, */
    const shunt_task *task; /* and the task that it is a part of */
};

static inline bool sh_record_is_taken(const struct sh_record *r)
{
    return r->task != NULL && r->task->shape_ == SH_SHAPE_TAKEN;
}

/* The task that it is, or is a part of; NULL if it has none. The record may be
 * used anew meanwhile: what its state says afterwards tells. */
static inline const shunt_task *sh_record_whole(const struct sh_record *r)
{
    const shunt_task *t = sh_load_bare_rlx(&r->task); /* relaxed: as the state */

    /* It is small, and in its record. */
    return t != NULL && t->shape_ == SH_SHAPE_TAKEN
               ? ((const struct sh_taken *)(const void *)r->data.bytes)->task
               : t;
}

#endif /* SH_TASK_TAKEN_H */
