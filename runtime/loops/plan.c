/* SPDX-License-Identifier: MIT */
/*
 * loops/plan.c - what a pipeline is made of, before it is accepted.
 *
 *     | pipeline | stages | slots | turns of each | values, two | contexts |
 *     |          |        |       | serial stage  | of each slot|          |
 *
 * Idea. Stages are looked at one by one, each beside the one before it, so that
 * a refusal says which does not fit and why. All that is needed later is one
 * block: nothing of it can be missing when items are under way.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "future/value.h"
#include "loops/pipeline.h"
#include "memory/known.h"
#include "task/error.h"

#ifdef SH_CHECKS
enum {
    CHECK_NAMES = 1
};
#else
enum {
    CHECK_NAMES = 0
};
#endif

SHUNT_PRINTF_(3, 4)
static void refuse(struct sh_refusal *r, int code, const char *format, ...)
{
    va_list args;

    SH_ASSERT(r->code == 0);
    r->code = code;
    va_start(args, format);
    (void)vsnprintf(r->text, sizeof r->text, format, args);
    va_end(args);
}

static void check_source(const shunt_stage *s, struct sh_refusal *r)
{
    const shunt_task *t = s->task;
    /* Of a step that says so its context is none. */
    bool none = (t->shape_ & SHUNT_SHAPE_STEP_) == 0
                    ? (t->shape_ & SHUNT_SHAPE_IN_NONE_) != 0
                    : t->in_size_ == sizeof(shunt_none) &&
                          sh_type_is(t->in_type_, "shunt_none");

    if (!none)
        refuse(r, SHUNT_EINVAL,
               "stage 0, %s, is the source, and takes something",
               sh_task_name_of(t));
    else if (s->order == SHUNT_PARALLEL)
        refuse(r, SHUNT_EINVAL, "stage 0, %s, is the source, and parallel",
               sh_task_name_of(t));
}

/* What a stage makes, and the next one takes. */
static void check_fit(const shunt_task *before, const shunt_task *t, size_t i,
                      struct sh_refusal *r)
{
    if (t->in_size_ == before->out_size_ &&
        t->in_align_ == before->out_align_ &&
        (!CHECK_NAMES || sh_type_is(t->in_type_, before->out_type_)))
        return;
    refuse(r, SHUNT_EINVAL,
           "stage %zu, %s, takes %.40s (%zu bytes), and stage %zu, %s, makes "
           "%.40s (%zu bytes)",
           i, sh_task_name_of(t), t->in_type_, t->in_size_, i - 1,
           sh_task_name_of(before), before->out_type_, before->out_size_);
}

/* What a worker process of the pool is to have, too. */
static bool is_known(const struct sh_pool *pool, const shunt_stage *s)
{
    return !pool->shared ||
           (sh_known_has(pool->known, s->task) &&
            (s->drop == NULL ||
             sh_known_has(pool->known, (const void *)(uintptr_t)s->drop)));
}

static void check_stage(const struct sh_pool *pool, const shunt_stage *s,
                        size_t i, struct sh_refusal *r)
{
    const shunt_task *t = s->task;
    int rc;

    if (t == NULL || t->size_ < sizeof *t) {
        refuse(r, SHUNT_EINVAL, "stage %zu has no function", i);
        return;
    }
    if ((t->shape_ & SHUNT_SHAPE_OUT_FUTURE_) != 0)
        refuse(r, SHUNT_EINVAL, "stage %zu, %s, returns a future", i,
               sh_task_name_of(t));
    else if (sh_stage_wants_ctx(t) && s->ctx == NULL)
        refuse(r, SHUNT_EINVAL, "stage %zu, %s, has no context", i,
               sh_task_name_of(t));
    else if ((t->shape_ & SHUNT_SHAPE_STEP_) == 0 && s->ctx != NULL)
        refuse(r, SHUNT_EINVAL, "stage %zu, %s, takes no context", i,
               sh_task_name_of(t));
    else if ((unsigned)s->order > SHUNT_SERIAL_OUT_OF_ORDER)
        refuse(r, SHUNT_EINVAL, "stage %zu, %s, has no order", i,
               sh_task_name_of(t));
    else if ((rc = sh_task_check(pool, t)) != 0 ||
             (rc = is_known(pool, s) && !(t->traits_.host_only && pool->shared)
                       ? 0
                       : SHUNT_ENOTSUP) != 0)
        refuse(r, rc, "stage %zu, %s, cannot run in this pool", i,
               sh_task_name_of(t));
    else if (i == 0)
        check_source(s, r);
    else
        check_fit(s[-1].task, t, i, r);
}

void sh_pipeline_check(shunt_pool *name, const shunt_stage *stages, size_t n,
                       struct sh_pool **pool_out, struct sh_refusal *r)
{
    r->code = sh_pool_find(name, pool_out);
    if (r->code != 0)
        return;
    if (stages == NULL || n == 0)
        refuse(r, SHUNT_EINVAL, "a pipeline without stages");
    else if (n > SHUNT_STAGES_MAX)
        refuse(r, SHUNT_EINVAL, "a pipeline of more than %d stages",
               SHUNT_STAGES_MAX);
    for (size_t i = 0; r->code == 0 && i < n; i++)
        check_stage(*pool_out, &stages[i], i, r);
}

/* -- the block -- */

/* How the block of a pipeline is laid out. */
struct layout {
    size_t bytes, align;
    bool overflows;
};

/* Room for n of that size; where it begins. */
static size_t add_room(struct layout *l, size_t n, size_t size, size_t align)
{
    size_t at, bytes;

    if (__builtin_add_overflow(l->bytes, align - 1, &at) ||
        __builtin_mul_overflow(n, size, &bytes) ||
        __builtin_add_overflow(at & ~(align - 1), bytes, &l->bytes))
        l->overflows = true;
    if (align > l->align)
        l->align = align;
    return at & ~(align - 1);
}

/* Where the parts of a pipeline begin. */
struct parts {
    size_t stages, slots, words, values;
    size_t value, align; /* of the largest value, a multiple of align */
    size_t serial;       /* stages that have turns */
};

static void lay_out(const shunt_stage *stages, size_t n, size_t tokens,
                    struct parts *parts, struct layout *l)
{
    size_t value = 0, align = 1;

    *parts = (struct parts){ .serial = 0 };
    for (size_t i = 0; i < n; i++) {
        const shunt_task *t = stages[i].task;

        value = t->out_size_ > value ? t->out_size_ : value;
        align = t->out_align_ > align ? t->out_align_ : align;
        parts->serial += i > 0 && stages[i].order != SHUNT_PARALLEL;
    }
    *l = (struct layout){ sizeof(struct sh_pipeline),
                          _Alignof(struct sh_pipeline),
                          value > SIZE_MAX - align };
    if (l->overflows)
        return;
    parts->align = align;
    parts->value = (value + align - 1) & ~(align - 1);
    parts->stages =
        add_room(l, n, sizeof(struct sh_stage), _Alignof(struct sh_stage));
    parts->slots =
        add_room(l, tokens, sizeof(struct sh_slot), _Alignof(struct sh_slot));
    for (size_t i = 0; i < parts->serial && !l->overflows; i++) {
        size_t at = add_room(l, tokens, sizeof(uint64_t), sizeof(uint64_t));

        parts->words = i == 0 ? at : parts->words;
    }
    parts->values = add_room(l, tokens, parts->value, align);
    (void)add_room(l, tokens, parts->value, align);
    for (size_t i = 0; i < n; i++)
        if (stages[i].ctx != NULL)
            (void)add_room(l, 1, stages[i].task->ctx_size_,
                           stages[i].task->ctx_align_);
}

/* Copy a stage; its context to *at, behind which the next one may be. */
static void copy_stage(struct sh_stage *s, const shunt_stage *given, char **at)
{
    const shunt_task *t = given->task;

    *s = (struct sh_stage){ .task = t,
                            .drop = given->drop,
                            .order = given->order };
    if (s->drop == NULL && (t->shape_ & SHUNT_SHAPE_STEP_) == 0)
        s->drop = t->traits_.drop;
    if (given->ctx == NULL)
        return;
    *at = (char *)(((uintptr_t)*at + t->ctx_align_ - 1) &
                   ~(uintptr_t)(t->ctx_align_ - 1));
    s->ctx = memcpy(*at, given->ctx, t->ctx_size_);
    *at += t->ctx_size_;
}

struct sh_block *sh_pipeline_pack(struct sh_pool *pool,
                                  const shunt_stage *stages, size_t n,
                                  size_t tokens,
                                  struct sh_pipeline **pipeline_out)
{
    struct layout l;
    struct parts parts;
    struct sh_block *b;
    struct sh_pipeline *p;
    _Atomic uint64_t *words;
    void *begin;
    char *at;

    lay_out(stages, n, tokens, &parts, &l);
    if (l.overflows)
        return NULL;
    b = sh_loop_block(pool, 1, l.bytes, l.align, &begin);
    if (b == NULL)
        return NULL;
    at = begin;
    p = begin;
    *p = (struct sh_pipeline){ .pool = pool->id,
                               .n = n,
                               .tokens = tokens,
                               .stages = (void *)(at + parts.stages),
                               .slots = (void *)(at + parts.slots) };
    sh_store_rlx(&p->users, 1); /* relaxed: ours yet */
    for (size_t i = 0; i < tokens; i++)
        p->slots[i] = (struct sh_slot){
            .pipeline = p,
            .values = { at + parts.values + 2 * i * parts.value,
                        at + parts.values + (2 * i + 1) * parts.value }
        };
    words = (void *)(at + parts.words);
    at += parts.values + 2 * tokens * parts.value;
    for (size_t i = 0; i < n; i++) {
        copy_stage(&p->stages[i], &stages[i], &at);
        if (i == 0 || stages[i].order == SHUNT_PARALLEL)
            continue;
        sh_turns_init(&p->stages[i].turns, words, tokens);
        words += tokens;
    }
    SH_ASSERT(at <= (char *)begin + l.bytes);
    *pipeline_out = p;
    return b;
}
