/* SPDX-License-Identifier: MIT */
/*
 * loops/pipeline.c - shunt_pipeline: items that go through stages.
 *
 *     pipeline's task   source  source  source  (waits for a token)  source ..
 *                         |       |       |
 *     an item's task      |       |       stage 1, stage 2, ..
 *                         |       stage 1, (waits for its turn) stage 2, ..
 *                         stage 1, stage 2, stage 3: a token is back
 *
 * Idea. What is there does it. The pipeline is a task that calls the source and
 * submits each item as a child of a scope; an item's task calls one stage after
 * the other, and waits for its turn where a stage is serial (turn.c). The scope
 * cancels all when an item has failed, says which was the first, and is waited
 * for even in a task that was cancelled. A completion queue says which item has
 * ended, when there is no token left. So an item's memory is that of its task,
 * a stage may wait, and who dies takes its item along.
 *
 * All that tasks share lies in the block of the pipeline's record, which stays
 * until what the task has submitted has ended, code that was given up included.
 * A token is a slot there, with room for two values: what a stage gets, and
 * what it makes. Its item has it until it has settled well. Of what has failed
 * no slot is used again.
 *
 * Edges.
 *   turn     turn.c
 *   contexts leave: count down -> count down: whoever is last calls the .drop
 *            of contexts when no stage runs any more
 *
 * Crash. An item that dies settles as such, and is a failure like any other. If
 * the pipeline's task dies its scope is deserted: the items are cancelled, and
 * their records drop their values. A value is marked as dropped before it is.
 */
#include <string.h>

#include "future/value.h"
#include "loops/pipeline.h"
#include "shunt/memory.h"
#include "shunt/queue.h"
#include "shunt/scope.h"
#include "task/error.h"
#include "worker/worker.h"

/* The input of the pipeline's task; and of an item's. */
struct whole {
    struct sh_pipeline *pipeline;
};

struct item {
    struct sh_slot *slot;
};

/* -- what is dropped -- */

/* The stage that has, or would have, got the value has done with it. */
static void drop_value(struct sh_slot *slot)
{
    const struct sh_pipeline *p = slot->pipeline;
    const struct sh_stage *s = &p->stages[slot->stage];
    bool full = slot->full;

    SH_ASSERT(slot->stage > 0);
    slot->full = false;
    if (full && slot->stage < p->n && s->drop != NULL)
        sh_call_hook(p->pool, s->drop, slot->values[slot->stage % 2]);
}

/* The context of a step, which is taken in any case. */
static void drop_ctx(unsigned pool, const shunt_task *task, void *ctx)
{
    if (task != NULL && sh_stage_wants_ctx(task) && ctx != NULL &&
        task->traits_.drop != NULL)
        sh_call_hook(pool, task->traits_.drop, ctx);
}

/* One of the users has no more need of anything. */
static void leave(struct sh_pipeline *p)
{
    /* Who is alone stays so. acquire: contexts */
    if (sh_load_acq(&p->users) > 1 &&
        sh_sub_acqrel(&p->users, 1) > 1) /* acq_rel: contexts */
        return;
    for (size_t i = 0; i < p->n; i++)
        drop_ctx(p->pool, p->stages[i].task, p->stages[i].ctx);
}

static void item_drop(void *in)
{
    struct sh_slot *slot = ((struct item *)in)->slot;

    drop_value(slot);
    leave(slot->pipeline);
}

static void pipeline_drop(void *in)
{
    leave(((struct whole *)in)->pipeline);
}

/* -- how a task fails -- */

/* Fail with a status of shunt's, not with a code of one's own. */
static int fail_as_status(int status)
{
    return shunt_fail_as(sh_handle_failed(sh_here.run->pool->id, status));
}

/* Fail as an item has, or for want of memory. */
static int fail_as_item(shunt_future *f)
{
    int rc = shunt_fail_as(f);

    return sh_here.run->fail_as != 0 ? rc : fail_as_status(SHUNT_ENOMEM);
}

/* A stage has returned rc for an item: what its task is to return. What it has
 * said goes if it has not failed. */
static int hear(const struct sh_stage *s, size_t index, uint64_t number, int rc)
{
    struct sh_run *run = sh_here.run;

    if (SH_LIKELY(run->text == NULL && run->fail_as == 0)) {
        if (rc != 0 && rc != SHUNT_ECANCELED)
            (void)shunt_fail(rc, "stage %zu, %s, returned %d for item %llu",
                             index, sh_task_name_of(s->task), rc,
                             (unsigned long long)number);
    } else if (rc == 0) {
        sh_loop_unsay(run);
    }
    return rc;
}

/* -- an item -- */

/* Call stage i of the item, whose turn it is: it makes the value of the next
 * one. */
static int call_stage(struct sh_slot *slot, size_t i)
{
    const struct sh_stage *s = &slot->pipeline->stages[i];
    void *out = slot->values[(i + 1) % 2];
    int rc;

    memset(out, 0, s->task->out_size_);
    rc = s->task->call_(slot->values[i % 2], s->ctx, out);
    return hear(s, i, slot->number, rc);
}

/* Let the item through a serial stage. */
static int call_in_turn(struct sh_slot *slot, size_t i)
{
    struct sh_stage *s = &slot->pipeline->stages[i];
    uint64_t turn = s->order == SHUNT_SERIAL_IN_ORDER ? slot->number
                                                      : sh_turn_draw(&s->turns);
    int rc = sh_turn_take(&s->turns, turn);

    if (rc != 0)
        return fail_as_status(rc);
    rc = call_stage(slot, i);
    if (rc == 0)
        sh_turn_pass(&s->turns, turn);
    return rc;
}

static int run_stages(struct sh_slot *slot)
{
    const struct sh_pipeline *p = slot->pipeline;

    for (size_t i = 1; i < p->n; i++) {
        int rc;

        if (shunt_cancelled())
            return SHUNT_ECANCELED;
        rc = p->stages[i].order == SHUNT_PARALLEL ? call_stage(slot, i)
                                                  : call_in_turn(slot, i);
        if (rc != 0)
            return rc;
        drop_value(slot);
        slot->stage = i + 1;
        slot->full = true;
    }
    return 0;
}

/* What may be checked only where it runs: 0, or what the task returns. */
static int check_pointers(const void *bytes, size_t size)
{
    struct sh_loop l = { .pool = sh_here.run->pool, .grain = 1 };

    sh_loop_check(&l, bytes, size);
    return sh_loop_end(&l);
}

static int run_item(const void *in, const void *ctx, void *out)
{
    struct sh_slot *slot = ((const struct item *)in)->slot;
    const struct sh_pipeline *p = slot->pipeline;
    int rc = check_pointers(slot->values[1], p->stages[0].task->out_size_);

    (void)ctx;
    (void)out;
    return rc != 0 ? rc : run_stages(slot);
}

static const shunt_task item_task = {
    .size_ = sizeof(shunt_task),
    .shape_ = SHUNT_SHAPE_OUT_NONE_,
    .call_ = run_item,
    .fn_ = "item of shunt_pipeline",
    .in_type_ = "",
    .ctx_type_ = "",
    .out_type_ = "shunt_none",
    .in_size_ = sizeof(struct item),
    .out_size_ = sizeof(shunt_none),
    .in_align_ = _Alignof(struct item),
    .ctx_align_ = 1,
    .out_align_ = _Alignof(shunt_none),
    .traits_ = { .drop = item_drop },
};

/* -- the pipeline's task -- */

struct feed {
    struct sh_pipeline *pipeline;
    shunt_scope *scope;
    shunt_queue *queue;
    struct sh_slot *free;
    size_t used, made; /* slots: of items under way, and ever */
};

/* The item in that slot has ended: 0, or its status. */
static int put_back(struct feed *feed, shunt_event *e)
{
    struct sh_slot *slot = e->tag;
    int status = shunt_status(e->future);

    (void)shunt_release(e->future);
    if (status != 0)
        return status;
    SH_ASSERT(feed->used > 0);
    slot->next = feed->free;
    feed->free = slot;
    feed->used--;
    return 0;
}

/* Wait until items have ended, and take their slots: 0, or a status. */
static int await_items(struct feed *feed)
{
    shunt_event events[16];
    int n = shunt_queue_wait(feed->queue, events,
                             sizeof events / sizeof events[0], SHUNT_FOREVER);
    int rc = n < 0 ? n : 0;

    for (int i = 0; i < n; i++) {
        int status = put_back(feed, &events[i]);

        if (rc == 0)
            rc = status;
    }
    return rc;
}

static struct sh_slot *take_slot(struct feed *feed)
{
    struct sh_slot *slot = feed->free;

    if (slot != NULL) {
        feed->free = slot->next;
    } else {
        SH_ASSERT(feed->made < feed->pipeline->tokens);
        slot = &feed->pipeline->slots[feed->made++];
    }
    feed->used++;
    return slot;
}

/* What the source has allocated goes with the item that it has made. */
static void pass_memory(shunt_future *f)
{
    struct sh_block *b = sh_here.run->blocks.first;

    while (b != NULL) {
        struct sh_block *next = b->next;

        (void)shunt_adopt(f, sh_block_bytes(b));
        b = next;
    }
}

/* Whether a submit was not accepted. */
static bool is_refused(shunt_future *f)
{
    struct sh_ref ref;

    return sh_handle_find(sh_handle_of(f), SH_LOOK, &ref) != 0 ||
           ref.record == NULL;
}

/* Send an item on its way: 0, or a status. */
static int send(struct feed *feed, struct sh_slot *slot)
{
    struct sh_pipeline *p = feed->pipeline;
    struct item in = { slot };
    shunt_future *f;
    int rc;

    slot->stage = 1;
    slot->full = true;
    /* relaxed: we are one of them, so it is not the last */
    (void)sh_add_rlx(&p->users, 1);
    f = shunt_scope_submit_here(feed->scope, &item_task, &in, p->where);
    if (is_refused(f)) {
        rc = shunt_status(f);
        if (rc == SHUNT_ECLOSED)
            rc = SHUNT_ECANCELED; /* the pool is, and our task will be told */
        item_drop(&in);
    } else {
        sh_mark_seen(sh_handle_of(f), true); /* the pipeline tells */
        pass_memory(f);
        rc = shunt_queue_add(feed->queue, f, slot);
        if (rc == 0)
            return 0;
    }
    (void)shunt_release(f);
    return rc;
}

/* Call the source, and send what it makes, until it has no more: 0, or what the
 * task is to return. */
static int feed_all(struct feed *feed)
{
    const struct sh_pipeline *p = feed->pipeline;
    const struct sh_stage *source = &p->stages[0];
    shunt_none none = { 0 };

    for (uint64_t number = 0;; number++) {
        struct sh_slot *slot;
        int rc = feed->used < p->tokens ? 0 : await_items(feed);

        if (rc == 0 && shunt_cancelled())
            rc = SHUNT_ECANCELED;
        if (rc != 0)
            return fail_as_status(rc);
        slot = take_slot(feed);
        slot->number = number;
        memset(slot->values[1], 0, source->task->out_size_);
        rc = source->task->call_(&none, source->ctx, slot->values[1]);
        if (rc == SHUNT_PIPELINE_END) {
            (void)hear(source, 0, number, 0);
            feed->used--;
            return 0;
        }
        rc = hear(source, 0, number, rc);
        if (rc != 0)
            return rc;
        rc = send(feed, slot);
        if (rc != 0)
            return fail_as_status(rc);
    }
}

/* What was on its way to a worker when the pool was cancelled finds it closed,
 * which says no more than that. */
static int without_closed(int status)
{
    return status == SHUNT_ECLOSED && shunt_cancelled() ? SHUNT_ECANCELED
                                                        : status;
}

/* The first failure among the items that is not for being cancelled, or NULL;
 * all are in the order of the source. */
static shunt_future *first_failure(const shunt_results *all)
{
    for (size_t i = 0; i < all->count; i++) {
        int status = without_closed(shunt_status(all->futures[i]));

        if (status != 0 && status != SHUNT_ECANCELED)
            return all->futures[i];
    }
    return NULL;
}

/* Wait until no stage runs any more: what the task is to return, if without
 * that it would return rc. */
static int end_all(const struct feed *feed, int rc)
{
    struct sh_pipeline *p = feed->pipeline;
    shunt_results all = { .count = 0 };
    shunt_future *first;
    int status;

    if (rc != 0) {
        (void)shunt_scope_cancel(feed->scope);
        for (size_t i = 1; i < p->n; i++)
            if (p->stages[i].order != SHUNT_PARALLEL)
                sh_turns_end(&p->stages[i].turns);
    }
    status = without_closed(shunt_scope_close(feed->scope, &all));
    if (status == SHUNT_ENOMEM)
        (void)shunt_scope_close(feed->scope, NULL);
    first = first_failure(&all);
    if (first != NULL)
        rc = fail_as_item(first);
    else if (status != 0 && (rc == 0 || rc == SHUNT_ECANCELED))
        rc = fail_as_status(status); /* there was no memory to say more */
    (void)shunt_results_release(&all);
    return rc;
}

static int check_contexts(const struct sh_pipeline *p)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < p->n; i++)
        if (p->stages[i].ctx != NULL)
            rc = check_pointers(p->stages[i].ctx, p->stages[i].task->ctx_size_);
    return rc;
}

static int run_pipeline(const void *in, const void *ctx, void *out)
{
    const shunt_scope_options options = { .forget = true };
    struct feed feed = { .pipeline = ((const struct whole *)in)->pipeline };
    int rc = check_contexts(feed.pipeline);

    (void)ctx;
    (void)out;
    if (rc != 0)
        return rc;
    rc = shunt_queue_new(&feed.queue);
    if (rc != 0)
        return fail_as_status(rc);
    rc = shunt_scope_open(&feed.scope, NULL, &options);
    if (rc != 0) {
        (void)shunt_queue_free(feed.queue);
        return fail_as_status(rc);
    }
    rc = feed_all(&feed);
    /* Not by the scope, which does not tell as soon as one has failed. */
    while (rc == 0 && feed.used > 0) {
        rc = await_items(&feed);
        if (rc != 0)
            rc = fail_as_status(rc);
    }
    rc = end_all(&feed, rc);
    (void)shunt_queue_free(feed.queue);
    return rc;
}

static const shunt_task pipeline_task = {
    .size_ = sizeof(shunt_task),
    .shape_ = SHUNT_SHAPE_OUT_NONE_,
    .call_ = run_pipeline,
    .fn_ = "shunt_pipeline",
    .in_type_ = "",
    .ctx_type_ = "",
    .out_type_ = "shunt_none",
    .in_size_ = sizeof(struct whole),
    .out_size_ = sizeof(shunt_none),
    .in_align_ = _Alignof(struct whole),
    .ctx_align_ = 1,
    .out_align_ = _Alignof(shunt_none),
    .traits_ = { .drop = pipeline_drop },
};

/* -- on the way into the pool -- */

/* A future that has failed and says why. */
static shunt_future *say(struct sh_pool *pool, const struct sh_refusal *r)
{
    shunt_promise *promise;
    shunt_future *f;

    if (pool == NULL || r->text[0] == '\0' ||
        shunt_promise_new(pool->name, shunt_none, &promise, &f) != 0)
        return sh_loop_refuse(pool, r->code);
    (void)shunt_promise_fail(promise, r->code, "%s", r->text);
    sh_add_rlx(&pool->refused, 1); /* relaxed: a count */
    return f;
}

/* What the options say, as far as the caller's struct has it. */
static shunt_pipeline_options options_of(const shunt_pipeline_options *given,
                                         size_t size)
{
    shunt_pipeline_options o = { .tokens = 0 };

    if (given != NULL)
        memcpy(&o, given, size < sizeof o ? size : sizeof o);
    return o;
}

shunt_future *shunt_pipeline_sized(shunt_pool *name, const shunt_stage *stages,
                                   size_t n, const char *where,
                                   size_t options_size,
                                   const shunt_pipeline_options *options)
{
    size_t tokens = options_of(options, options_size).tokens;
    struct sh_refusal refusal = { .code = 0 };
    struct whole in = { NULL };
    struct sh_block *block = NULL;
    struct sh_pool *pool = NULL;
    shunt_future *f;

    sh_pipeline_check(name, stages, n, &pool, &refusal);
    if (refusal.code == 0) {
        if (tokens == 0)
            tokens = (size_t)pool->workers * 4;
        block = sh_pipeline_pack(pool, stages, n, tokens, &in.pipeline);
        if (block == NULL)
            refusal.code = SHUNT_ENOMEM;
    }
    if (refusal.code == 0) {
        in.pipeline->where = where;
        f = sh_submit_own(pool, &pipeline_task, &in, block, where);
        if (!is_refused(f))
            return f;
    } else {
        f = say(pool, &refusal);
    }
    for (size_t i = 0; stages != NULL && n <= SHUNT_STAGES_MAX && i < n; i++)
        drop_ctx(pool == NULL ? 0 : pool->id, stages[i].task,
                 (void *)(uintptr_t)stages[i].ctx);
    return f;
}
