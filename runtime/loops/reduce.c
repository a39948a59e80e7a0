/* SPDX-License-Identifier: MIT */
/*
 * loops/reduce.c - shunt_reduce: the values of a task for many inputs, merged
 * in their order.
 *
 *     from          at            middle              to
 *      | *out so far | lower       | upper (spawned)   |
 *      *out = (*out + lower) + upper
 *
 * Idea. That of span.c: a part goes from left to right, and merges what comes
 * to what it has. When somebody is hungry the rest is done as two parts, and
 * merged in their order. So how values are bracketed depends on who was hungry,
 * and their order never.
 *
 * The task's descriptor is made where shunt_reduce is called, since its value
 * has the type of fn's. It knows one word of what is here: where the rest is,
 * which lies in the record's block.
 *
 * Crash. The loop is one task: it fails as one, and what is in its block goes
 * with its record. A .drop is called for each input in one go, after the record
 * says so: of who dies in between, the rest of the inputs are not dropped.
 */
#include <string.h>

#include "loops/loop.h"

struct reduction {
    const shunt_task *fn;
    shunt_fn_ *merge;
    size_t n, grain;
    char *ins;
};

struct reducing {
    struct sh_loop loop;
    const struct reduction *what;
    size_t in_size;             /* 0: there are no inputs */
    size_t size, stride, align; /* of a value */
};

static size_t input_size(const shunt_task *fn)
{
    return (fn->shape_ & SHUNT_SHAPE_IN_NONE_) != 0 ? 0 : fn->in_size_;
}

/* *out = fn(*in). False if that has failed. */
static bool make(struct reducing *r, size_t index, char *out)
{
    const shunt_task *fn = r->what->fn;
    int rc;

    SH_ASSERT(index < r->what->n);
    memset(out, 0, r->size);
    rc = fn->call_(r->what->ins + index * r->in_size, NULL, out);
    sh_loop_hear(&r->loop, rc);
    return rc == 0;
}

/* *left = *left + *right, by way of *sum. False if that has failed. */
SH_CALLS_ANY static bool merge(struct reducing *r, char *left,
                               const char *right, char *sum)
{
    int (*fn)(const void *, const void *, void *);
    int rc;

    fn = (int (*)(const void *, const void *, void *))r->loop.fn;
    memset(sum, 0, r->size);
    rc = fn(left, right, sum);
    sh_loop_hear(&r->loop, rc);
    if (rc == 0)
        memcpy(left, sum, r->size);
    return rc == 0;
}

/* What a part has beside its result: lower, upper, sum. */
enum {
    LOWER,
    UPPER,
    SUM,
    VALUES
};

/* Make *out of the elements [from, to), of which there is one at least. */
SHUNT_FORK_VOID(reduce, struct reducing *, r, size_t, from, size_t, to, size_t,
                chunk, char *, out)
{
    struct sh_room room;
    char *values = sh_room_open(&room, &r->loop, VALUES, r->stride, r->align);
    char *lower, *upper, *sum;
    int64_t at_ns = sh_clock_ns();
    size_t at = from;

    if (values == NULL)
        return;
    lower = values + LOWER * r->stride;
    upper = values + UPPER * r->stride;
    sum = values + SUM * r->stride;
    while (at < to && sh_loop_goes_on(&r->loop)) {
        size_t n = to - at < chunk ? to - at : chunk;

        if (shunt_hungry() && (to - at) / 2 >= r->loop.grain) {
            size_t middle = at + (to - at) / 2;
            shunt_frame(reduce) frame;

            shunt_spawn(reduce, frame, r, middle, to, chunk, upper);
            shunt_call(reduce, r, at, middle, chunk, at == from ? out : lower);
            shunt_sync(reduce, frame);
            if (!sh_loop_goes_on(&r->loop) ||
                (at != from && !merge(r, out, lower, sum)))
                break;
            (void)merge(r, out, upper, sum);
            break;
        }
        for (; n > 0; n--, at++)
            if (!make(r, at, at == from ? out : lower) ||
                (at != from && !merge(r, out, lower, sum)))
                break;
        chunk = sh_loop_pace(chunk, 1, &at_ns);
    }
    sh_room_close(&room);
}

int shunt_reduce_run_(const void *in, const void *ctx, void *out)
{
    const struct reduction *what = ((const shunt_reduction_ *)in)->all_;
    const shunt_task *fn = what->fn;
    size_t align = fn->out_align_;
    struct reducing r = { .loop = { .pool = sh_here.run->pool,
                                    .fn = what->merge,
                                    .grain = what->grain },
                          .what = what,
                          .in_size = input_size(fn),
                          .size = fn->out_size_,
                          .stride = (fn->out_size_ + align - 1) & ~(align - 1),
                          .align = align };

    (void)ctx;
    sh_loop_check(&r.loop, what->ins, what->n * r.in_size);
    shunt_fork(reduce, &r, 0, what->n, 1, out);
    return sh_loop_end(&r.loop);
}

void shunt_reduce_drop_(void *in)
{
    const struct reduction *what = ((shunt_reduction_ *)in)->all_;
    const shunt_task *fn = what->fn;

    if (fn->traits_.drop == NULL || (fn->shape_ & SHUNT_SHAPE_IN_NONE_) != 0)
        return;
    for (size_t i = 0; i < what->n; i++)
        fn->traits_.drop(what->ins + i * fn->in_size_);
}

/* -- on the way into the pool -- */

static int check(const struct sh_pool *pool, const shunt_task *fn,
                 const void *ins, size_t n)
{
    if (fn == NULL || n == 0 ||
        (fn->shape_ & (SHUNT_SHAPE_STEP_ | SHUNT_SHAPE_OUT_FUTURE_)) != 0 ||
        (ins == NULL && (fn->shape_ & SHUNT_SHAPE_IN_NONE_) == 0))
        return SHUNT_EINVAL;
    /* Its parts run where the pool has all its workers. */
    if (fn->traits_.host_only && pool->shared)
        return SHUNT_ENOTSUP;
    return sh_task_check(pool, fn);
}

/* All that the task needs, with the inputs behind it; NULL: no memory. */
static struct sh_block *pack(struct sh_pool *pool, const shunt_task *fn,
                             shunt_fn_ *merge_fn, const void *ins, size_t n,
                             shunt_reduction_ *in_out)
{
    size_t size = input_size(fn);
    size_t align = fn->in_align_ > _Alignof(struct reduction)
                       ? fn->in_align_
                       : _Alignof(struct reduction);
    size_t before = (sizeof(struct reduction) + align - 1) & ~(align - 1);
    struct reduction *what;
    struct sh_block *b;
    size_t bytes;
    void *at;

    if (__builtin_mul_overflow(n, size, &bytes) ||
        __builtin_add_overflow(bytes, before, &bytes))
        return NULL;
    b = sh_loop_block(pool, 1, bytes, align, &at);
    if (b == NULL)
        return NULL;
    what = at;
    *what = (struct reduction){ fn, merge_fn, n, 1, (char *)at + before };
    if (size > 0)
        memcpy(what->ins, ins, n * size);
    in_out->all_ = what;
    return b;
}

shunt_future *shunt_reduce_sized(shunt_pool *name, const shunt_task *task,
                                 const shunt_task *fn, shunt_fn_ *merge_fn,
                                 const void *ins, size_t n, const char *where,
                                 size_t options_size,
                                 const shunt_for_options *options)
{
    struct sh_pool *pool = NULL;
    struct sh_block *block = NULL;
    shunt_reduction_ in = { NULL };
    int rc = sh_loop_find(name, merge_fn, &pool);

    if (rc == 0)
        rc = check(pool, fn, ins, n);
    if (rc == 0)
        block = pack(pool, fn, merge_fn, ins, n, &in);
    if (rc == 0 && block == NULL)
        rc = SHUNT_ENOMEM;
    if (rc != 0)
        return sh_loop_refuse(pool, rc);
    ((struct reduction *)in.all_)->grain = sh_loop_grain(options, options_size);
    return sh_submit_own(pool, task, &in, block, where);
}
