/* SPDX-License-Identifier: MIT */
/*
 * loops/area.c - shunt_for_2d: a loop over rows and columns.
 *
 *     +-----------------+
 *     |      done       |
 *     | done | strip    |    lines across the longer side, in chunks
 *     |                 |
 *     |      rest       |    of which the half is spawned when somebody is
 *     |.................|    hungry; of the strip, when there is no rest
 *     |                 |
 *     +-----------------+
 *
 * Idea. That of span.c, but what is left behind a chunk is no rectangle: it is
 * two, a strip that has been begun, and the rest. A strip has as many lines as
 * a chunk fills, and at least one.
 */
#include "loops/loop.h"

struct side {
    size_t from, to;
};

struct area {
    struct side rows, columns;
};

/* The task's input; body's context is in the record's block. */
struct looped {
    shunt_body_ body;
    struct area area;
    size_t grain;
};

static size_t length(struct side s)
{
    return s.to - s.from;
}

static size_t pairs(struct area a)
{
    return length(a.rows) * length(a.columns);
}

/* Cut the first n lines off the longer side of *a. */
static struct area cut(struct area *a, size_t n)
{
    struct area first = *a;

    if (length(a->rows) >= length(a->columns)) {
        SH_ASSERT(n <= length(a->rows));
        first.rows.to = a->rows.from += n;
    } else {
        SH_ASSERT(n <= length(a->columns));
        first.columns.to = a->columns.from += n;
    }
    return first;
}

static size_t longer(struct area a)
{
    return length(a.rows) >= length(a.columns) ? length(a.rows)
                                               : length(a.columns);
}

/* Pairs of the smaller one of its halves. */
static size_t smaller_half(struct area a)
{
    return pairs(a) > 0 ? longer(a) / 2 * (pairs(a) / longer(a)) : 0;
}

/* Cut as many lines off *a as have n pairs, and at least one. */
static struct area cut_pairs(struct area *a, size_t n)
{
    size_t line = pairs(*a) / longer(*a);
    size_t lines = n / line;

    if (lines == 0)
        lines = 1;
    return cut(a, lines < longer(*a) ? lines : longer(*a));
}

SH_CALLS_ANY static int call_body(const struct sh_loop *l, struct area a)
{
    int (*body)(size_t, size_t, size_t, size_t, const void *);

    body = (int (*)(size_t, size_t, size_t, size_t, const void *))l->fn;
    SH_ASSERT(pairs(a) > 0);
    return body(a.rows.from, a.rows.to, a.columns.from, a.columns.to, l->ctx);
}

/* First the strip, which may be empty, then the rest. */
SHUNT_FORK_VOID(area, struct sh_loop *, l, struct area, strip, struct area,
                rest, size_t, chunk)
{
    int64_t at_ns = sh_clock_ns();

    while (pairs(strip) + pairs(rest) > 0 && sh_loop_goes_on(l)) {
        bool whole = pairs(strip) == 0;
        struct area *halved = pairs(rest) > 1 ? &rest : &strip;
        int rc;

        if (shunt_hungry() && smaller_half(*halved) >= l->grain) {
            struct area none = { { 0, 0 }, { 0, 0 } };
            struct area lower = cut(halved, longer(*halved) / 2);
            struct area upper = *halved;
            shunt_frame(area) spawned;

            *halved = lower;
            shunt_spawn(area, spawned, l, none, upper, chunk);
            shunt_call(area, l, strip, rest, chunk);
            shunt_sync(area, spawned);
            return;
        }
        if (whole)
            strip = cut_pairs(&rest, chunk);
        rc = call_body(l, cut_pairs(&strip, chunk));
        sh_loop_hear(l, rc);
        chunk = sh_loop_pace(chunk, l->grain, &at_ns);
    }
}

static int run_for_2d(const void *in, const void *ctx, void *out)
{
    const struct looped *f = in;
    struct area none = { { 0, 0 }, { 0, 0 } };
    struct sh_loop l = { .pool = sh_here.run->pool,
                         .fn = f->body.fn_,
                         .ctx = f->body.ctx_,
                         .grain = f->grain };

    (void)ctx;
    (void)out;
    sh_loop_check(&l, f->body.ctx_, f->body.size_);
    shunt_fork(area, &l, none, f->area, f->grain);
    return sh_loop_end(&l);
}

static const shunt_task for_2d_task = {
    .size_ = sizeof(shunt_task),
    .shape_ = SHUNT_SHAPE_OUT_NONE_,
    .call_ = run_for_2d,
    .fn_ = "shunt_for_2d",
    .in_type_ = "",
    .ctx_type_ = "",
    .out_type_ = "shunt_none",
    .in_size_ = sizeof(struct looped),
    .out_size_ = sizeof(shunt_none),
    .in_align_ = _Alignof(struct looped),
    .ctx_align_ = 1,
    .out_align_ = _Alignof(shunt_none),
};

/* Whether the loop over it can be counted. */
static bool is_good(struct area a)
{
    size_t n;

    return a.rows.from <= a.rows.to && a.columns.from <= a.columns.to &&
           !__builtin_mul_overflow(length(a.rows), length(a.columns), &n);
}

shunt_future *shunt_for_2d_sized(shunt_pool *name, shunt_area_ given,
                                 shunt_body_ body, const char *where,
                                 size_t options_size,
                                 const shunt_for_options *options)
{
    struct looped in = { body,
                         { { given.rows_begin_, given.rows_end_ },
                           { given.columns_begin_, given.columns_end_ } },
                         sh_loop_grain(options, options_size) };
    struct sh_block *block;
    struct sh_pool *pool = NULL;
    int rc = sh_loop_find(name, body.fn_, &pool);

    if (rc == 0 && !is_good(in.area))
        rc = SHUNT_EINVAL;
    if (rc == 0 && pairs(in.area) == 0)
        return sh_loop_nothing(pool, where);
    if (rc == 0)
        rc = sh_loop_take_body(pool, &in.body, &block);
    if (rc != 0)
        return sh_loop_refuse(pool, rc);
    return sh_submit_own(pool, &for_2d_task, &in, block, where);
}
