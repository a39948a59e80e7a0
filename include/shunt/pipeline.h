/* SPDX-License-Identifier: MIT */
/*
 * shunt/pipeline.h - items that go through stages, a bounded number at a time,
 * as a future.
 *
 *     static int read_block(const shunt_none *in, struct files *const *files,
 *                           struct block *out)
 *     {
 *         (void)in;
 *         return next_block(*files, out) ? 0 : SHUNT_PIPELINE_END;
 *     }
 *     SHUNT_STEP(read_block, shunt_none, struct files *, struct block)
 *     SHUNT_TASK(pack, struct block, struct packed)
 *     SHUNT_STEP(write_block, struct packed, struct files *, shunt_none)
 *
 *     shunt_stage stages[] = {
 *         SHUNT_STAGE_WITH(read_block, SHUNT_SERIAL_IN_ORDER, &files),
 *         SHUNT_STAGE(pack, SHUNT_PARALLEL),
 *         SHUNT_STAGE_WITH(write_block, SHUNT_SERIAL_IN_ORDER, &files),
 *     };
 *     f = shunt_pipeline(pool, stages, 3, .tokens = 16);
 *
 * The first stage is the source: it is called once for each item, makes its
 * value, and says when there is no more. Each other stage gets what the one
 * before it has made. What the last one makes is not kept.
 *
 * The future is a shunt_none; it succeeds when the source has come to its end,
 * and all items to theirs. The pipeline is a task of its own, which calls the
 * source; and each item is a task, which runs its stages one after the other.
 * So in a process pool the items are spread over the worker processes, and what
 * values and contexts point to must be memory of the pool there (shunt_alloc,
 * shunt_pool_alloc). Stages may do what tasks may: submit and await, shunt_fail,
 * loops and pipelines of their own. What a stage allocates by shunt_alloc lives
 * as long as its item; of the source, as long as the item that it has made just
 * then.
 *
 * If a stage fails, returning what is not 0, or its process dies, so does the
 * pipeline: as that item did, SHUNT_EFAILED with .task_code and message, or
 * SHUNT_ECRASHED, and so on. Of items that fail at about the same time it is
 * the first one, and the source comes behind the items that it has made. The
 * source is not called again, though a call that is under way is not cut short;
 * the other items are asked to cancel, and begin no further stage. When the
 * future settles no code of a stage runs any more, but for that of tasks that
 * were given up (a deadline, SHUNT_KILL, or a cancel that a stage of a process
 * pool has not heeded for a second), or if the process died that ran the source.
 *
 * shunt_cancel of the future, and the end of the pool, do the same with
 * SHUNT_ECANCELED. The deadline of the task that calls is that of all items.
 *
 * After Reed, Chen and Johnson, "Expressing pipeline parallelism using TBB
 * constructs" (SPLASH workshop TMC, 2011), and McCool, Robison and Reinders,
 * "Structured Parallel Programming" (2012), chapter 9.
 */
#ifndef SHUNT_PIPELINE_H
#define SHUNT_PIPELINE_H

#include "shunt/compose.h"

SHUNT_BEGIN_

/* How a stage takes items. */
typedef enum shunt_stage_order {
    /* Several at a time, in any order. */
    SHUNT_PARALLEL,
    /* One at a time, in the order in which the source has made them. */
    SHUNT_SERIAL_IN_ORDER,
    /* One at a time, as they come. */
    SHUNT_SERIAL_OUT_OF_ORDER
} shunt_stage_order;

/* What a source returns if there is no more: no error, and *out is not an item.
 * Of another stage it is a failure. */
enum {
    SHUNT_PIPELINE_END = -10100
};

/* The most stages that a pipeline may have. */
#define SHUNT_STAGES_MAX 1024

/* A stage, as SHUNT_STAGE makes it. */
typedef struct shunt_stage {
    const shunt_task *task;
    const void *ctx;
    shunt_stage_order order;
    /* Called once with each value that the stage before has made: when this
     * one has run with it, or never will. NULL: of a SHUNT_TASK the .drop of
     * its traits. It may run on any thread, outside of any task, and must not
     * wait; of a process pool in any of its processes or in the host. */
    void (*drop)(void *value);
} shunt_stage;

/*
 * SHUNT_STAGE(fn, order): a stage of SHUNT_TASK(fn, In, Out).
 *
 * SHUNT_STAGE_WITH(fn, order, ctx): one of SHUNT_STEP(fn, In, Ctx, Out), ctx a
 * pointer to a Ctx, which shunt_pipeline copies.
 *
 * A source has shunt_none for In. It is called one at a time whatever its order
 * says, but for SHUNT_PARALLEL, which is none. Of traits those count that say
 * where a task can run, and .drop: of a step it is called with the context,
 * once, when no stage runs any more and none will, also if the pipeline was
 * refused (but not if there is no array of stages). If a process dies while it
 * calls a .drop, what that one had yet to be called with is not dropped.
 */
#ifdef __cplusplus
#define SHUNT_STAGE_(task, ctx, order) (shunt_stage{ task, ctx, order, nullptr })
#define SHUNT_STAGE_CTX_(fn, ctx) (static_cast<const shunt_ctx_##fn *>(ctx))
#else
#define SHUNT_STAGE_(task, ctx, order) \
    ((shunt_stage){ task, ctx, order, NULL })
#define SHUNT_STAGE_CTX_(fn, ctx) (1 ? (ctx) : (const shunt_ctx_##fn *)0)
#endif
#define SHUNT_STAGE(fn, order) SHUNT_STAGE_(&shunt_task_##fn, NULL, order)
#define SHUNT_STAGE_WITH(fn, order, ...)                                  \
    SHUNT_STAGE_(&shunt_task_##fn, SHUNT_STAGE_CTX_(fn, (__VA_ARGS__)), \
                 order)

/* Options of one pipeline. */
typedef struct shunt_pipeline_options {
    /* So many items at the most are under way at a time, from before the source
     * is called until the last stage has returned. 0: four for each worker of
     * the pool. Memory for their values is taken at once. */
    size_t tokens SHUNT_DEFAULT_(0);
} shunt_pipeline_options;

/*
 * shunt_pipeline(pool, stages, n, designators...): run the n stages. stages is
 * only read during the call.
 *
 * Never NULL. What cannot be accepted is a future that has failed:
 *
 * Blocks:  never.
 * Threads: any, and any task.
 * Errors:  SHUNT_EINVAL: no pool, no stages, more than SHUNT_STAGES_MAX, or a
 *          stage that does not fit, of which the error's message says which and
 *          why: what it takes is not of the size and alignment of what the one
 *          before it makes (in a library built with -Dchecks=true, nor of its
 *          type's name), a source that takes something or is SHUNT_PARALLEL, a
 *          step without its context, a task with one, no function, a task that
 *          returns a future, an order that is none. SHUNT_ENOTSUP: a stage that
 *          cannot run in the pool,
 *          is .host_only in a process pool, or of a library that was loaded too
 *          late. SHUNT_ENOMEM, also for more tokens than there is memory for;
 *          SHUNT_EAGAIN (over .queue_max: a pipeline counts as one task; later,
 *          1,023 completion queues exist in the process), SHUNT_ECLOSED,
 *          SHUNT_EBROKEN, SHUNT_EFORKED, SHUNT_ETIMEDOUT (the calling task's
 *          deadline is past).
 * Order:   what one item does in a serial stage is visible to the next one
 *          there.
 */
SHUNT_API shunt_future *
shunt_pipeline_sized(shunt_pool *pool, const shunt_stage *stages, size_t n,
                     const char *where, size_t options_size,
                     const shunt_pipeline_options *options);
#define shunt_pipeline(pool, stages, ...)                                  \
    shunt_pipeline_sized(pool, stages, SHUNT_FIRST_(__VA_ARGS__),          \
                         SHUNT_HERE_, sizeof(shunt_pipeline_options),      \
                         SHUNT_TEMPORARY_(shunt_pipeline_options,          \
                                          SHUNT_REST_(__VA_ARGS__)))

SHUNT_END_

#endif /* SHUNT_PIPELINE_H */
