/* SPDX-License-Identifier: MIT */
/*
 * loops/pipeline.h - what the tasks of a pipeline share; see pipeline.c.
 */
#ifndef SH_LOOPS_PIPELINE_H
#define SH_LOOPS_PIPELINE_H

#include "loops/loop.h"
#include "loops/turn.h"
#include "shunt/pipeline.h"

struct sh_stage {
    const shunt_task *task;
    void *ctx;
    void (*drop)(void *value);
    shunt_stage_order order;
    struct sh_turns turns; /* but for PARALLEL */
};

struct sh_pipeline {
    const char *where;
    unsigned pool; /* its identifier */
    size_t n, tokens;
    /* The pipeline's task, and items whose tasks have been accepted. */
    _Atomic size_t users;
    struct sh_stage *stages;
    struct sh_slot *slots;
};

struct sh_slot {
    struct sh_pipeline *pipeline;
    uint64_t number; /* of the item */
    char *values[2];
    size_t stage;         /* that is to get, or gets, values[stage % 2], */
    bool full;            /* if that is yet to be dropped */
    struct sh_slot *next; /* while it is free */
};

static inline bool sh_stage_wants_ctx(const shunt_task *task)
{
    return (task->shape_ & SHUNT_SHAPE_STEP_) != 0 &&
           (task->shape_ & SHUNT_SHAPE_IN_NONE_) == 0;
}

/* Why a pipeline is refused: a code, and what the error says. */
struct sh_refusal {
    int code;
    char text[240];
};

/* The pool of that name, and whether the stages can run there one after the
 * other: if not, *r says why. */
void sh_pipeline_check(shunt_pool *name, const shunt_stage *stages, size_t n,
                       struct sh_pool **pool_out, struct sh_refusal *r);

/* All that the tasks of a pipeline share, with copies of its stages and their
 * contexts, and the block that it is in; NULL: no memory. */
struct sh_block *sh_pipeline_pack(struct sh_pool *pool,
                                  const shunt_stage *stages, size_t n,
                                  size_t tokens,
                                  struct sh_pipeline **pipeline_out);

#endif /* SH_LOOPS_PIPELINE_H */
