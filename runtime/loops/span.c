/* SPDX-License-Identifier: MIT */
/*
 * loops/span.c - shunt_for: a loop over indexes.
 *
 *     from  at                                     to
 *      | done | chunk | chunk .. |                  |     nobody is hungry
 *      | done | goes on here     | spawned          |     somebody is
 *
 * Idea. Whoever has a span runs it in chunks. Between two of them it looks
 * whether a worker wants something, and if so spawns the upper half of what it
 * has left: by a look at one word, so nothing is cut that nobody would take.
 * The chunk goes along with the half, so that it is learnt once.
 *
 * After Tzannes et al., "Lazy binary-splitting" (PPoPP 2010).
 */
#include "loops/loop.h"

/* The task's input; body's context is in the record's block. */
struct looped {
    shunt_body_ body;
    size_t begin, end, grain;
};

SH_CALLS_ANY static int call_body(const struct sh_loop *l, size_t from,
                                  size_t to)
{
    int (*body)(size_t, size_t, const void *);

    body = (int (*)(size_t, size_t, const void *))l->fn;
    SH_ASSERT(from < to);
    return body(from, to, l->ctx);
}

/* Run one chunk; where the next one begins. */
static size_t run_chunk(struct sh_loop *l, size_t from, size_t to, size_t chunk)
{
    size_t n = to - from;
    int rc;

    /* What remains is nothing, or no less than a grain. */
    if (n > chunk && n - chunk >= l->grain)
        n = chunk;
    rc = call_body(l, from, from + n);
    sh_loop_hear(l, rc);
    return from + n;
}

SHUNT_FORK_VOID(span, struct sh_loop *, l, size_t, from, size_t, to, size_t,
                chunk)
{
    int64_t at_ns = sh_clock_ns();

    while (from < to && sh_loop_goes_on(l)) {
        if (shunt_hungry() && (to - from) / 2 >= l->grain) {
            size_t middle = from + (to - from) / 2;
            shunt_frame(span) upper;

            shunt_spawn(span, upper, l, middle, to, chunk);
            shunt_call(span, l, from, middle, chunk);
            shunt_sync(span, upper);
            return;
        }
        from = run_chunk(l, from, to, chunk);
        chunk = sh_loop_pace(chunk, l->grain, &at_ns);
    }
}

static int run_for(const void *in, const void *ctx, void *out)
{
    const struct looped *f = in;
    struct sh_loop l = { .pool = sh_here.run->pool,
                         .fn = f->body.fn_,
                         .ctx = f->body.ctx_,
                         .grain = f->grain };

    (void)ctx;
    (void)out;
    sh_loop_check(&l, f->body.ctx_, f->body.size_);
    shunt_fork(span, &l, f->begin, f->end, f->grain);
    return sh_loop_end(&l);
}

static const shunt_task for_task = {
    .size_ = sizeof(shunt_task),
    .shape_ = SHUNT_SHAPE_OUT_NONE_,
    .call_ = run_for,
    .fn_ = "shunt_for",
    .in_type_ = "",
    .ctx_type_ = "",
    .out_type_ = "shunt_none",
    .in_size_ = sizeof(struct looped),
    .out_size_ = sizeof(shunt_none),
    .in_align_ = _Alignof(struct looped),
    .ctx_align_ = 1,
    .out_align_ = _Alignof(shunt_none),
};

shunt_future *shunt_for_sized(shunt_pool *name, size_t begin, size_t end,
                              shunt_body_ body, const char *where,
                              size_t options_size,
                              const shunt_for_options *options)
{
    struct looped in = { body, begin, end,
                         sh_loop_grain(options, options_size) };
    struct sh_block *block;
    struct sh_pool *pool = NULL;
    int rc = sh_loop_find(name, body.fn_, &pool);

    if (rc == 0 && begin > end)
        rc = SHUNT_EINVAL;
    if (rc == 0 && begin == end)
        return sh_loop_nothing(pool, where);
    if (rc == 0)
        rc = sh_loop_take_body(pool, &in.body, &block);
    if (rc != 0)
        return sh_loop_refuse(pool, rc);
    return sh_submit_own(pool, &for_task, &in, block, where);
}
