/* SPDX-License-Identifier: MIT */
/*
 * loops/scan.c - shunt_scan: each element of an array becomes what all up to it
 * are together.
 *
 *     from             at             middle             to
 *      | done          | goes on here | spawned          |
 *                                     | without what is  |
 *                                     | left of it, if it was taken;
 *                                     | that is carried in afterwards
 *
 * Idea. A scan from left to right needs one merge an element. A part that was
 * taken does not know what is to its left, as that is not ready: it scans for
 * itself, and when both are done the left one's last element is merged into
 * each of its elements, as a loop of its own. A part that nobody took runs
 * when what is to its left is done, on the thread that did it, and just goes
 * on: what was not wanted costs nothing. So a scan on one thread is a plain
 * one, and what is taken costs twice; more often if it was taken out of what
 * was taken.
 */
#include <string.h>

#include "loops/loop.h"

/* The task's input. */
struct scanned {
    shunt_fn_ *merge;
    char *array;
    size_t n, size, align, grain;
};

struct scanning {
    struct sh_loop loop;
    char *array;
    size_t size, align;
};

/* element[at] = element[left] + element[at], by way of *sum. False if that has
 * failed. */
SH_CALLS_ANY static bool merge(struct scanning *s, size_t left, size_t at,
                               char *sum)
{
    int (*fn)(const void *, const void *, void *);
    char *element = s->array + at * s->size;
    int rc;

    SH_ASSERT(left < at);
    fn = (int (*)(const void *, const void *, void *))s->loop.fn;
    memset(sum, 0, s->size);
    rc = fn(s->array + left * s->size, element, sum);
    sh_loop_hear(&s->loop, rc);
    if (rc == 0)
        memcpy(element, sum, s->size);
    return rc == 0;
}

/* Merge element[left] into each of [from, to). */
SHUNT_FORK_VOID(carry, struct scanning *, s, size_t, left, size_t, from, size_t,
                to, size_t, chunk)
{
    struct sh_room room;
    char *sum = sh_room_open(&room, &s->loop, 1, s->size, s->align);
    int64_t at_ns = sh_clock_ns();

    if (sum == NULL)
        return;
    while (from < to && sh_loop_goes_on(&s->loop)) {
        size_t n = to - from < chunk ? to - from : chunk;

        if (shunt_hungry() && (to - from) / 2 >= s->loop.grain) {
            size_t middle = from + (to - from) / 2;
            shunt_frame(carry) upper;

            shunt_spawn(carry, upper, s, left, middle, to, chunk);
            shunt_call(carry, s, left, from, middle, chunk);
            shunt_sync(carry, upper);
            break;
        }
        for (; n > 0 && merge(s, left, from, sum); n--)
            from++;
        chunk = sh_loop_pace(chunk, 1, &at_ns);
    }
    sh_room_close(&room);
}

/* Scan [from, to), and go on from the element before it if that is ready: if
 * we are in the run that has made it. Says in *went_on_out whether it was. */
SHUNT_FORK_VOID(scan, struct scanning *, s, size_t, from, size_t, to, size_t,
                chunk, const struct sh_run *, before, bool *, went_on_out)
{
    bool goes_on = before == sh_here.run;
    struct sh_room room;
    char *sum = sh_room_open(&room, &s->loop, 1, s->size, s->align);
    int64_t at_ns = sh_clock_ns();
    size_t at = from == 0 || !goes_on ? from + 1 : from;

    *went_on_out = goes_on;
    if (sum == NULL)
        return;
    while (at < to && sh_loop_goes_on(&s->loop)) {
        size_t n = to - at < chunk ? to - at : chunk;

        if (shunt_hungry() && (to - at) / 2 >= s->loop.grain) {
            size_t middle = at + (to - at) / 2;
            bool lower_went_on, upper_went_on;
            shunt_frame(scan) upper;

            shunt_spawn(scan, upper, s, middle, to, chunk, sh_here.run,
                        &upper_went_on);
            shunt_call(scan, s, at, middle, chunk, sh_here.run, &lower_went_on);
            shunt_sync(scan, upper);
            SH_ASSERT(lower_went_on);
            if (!upper_went_on)
                shunt_call(carry, s, middle - 1, middle, to, chunk);
            break;
        }
        for (; n > 0 && merge(s, at - 1, at, sum); n--)
            at++;
        chunk = sh_loop_pace(chunk, 1, &at_ns);
    }
    sh_room_close(&room);
}

static int run_scan(const void *in, const void *ctx, void *out)
{
    const struct scanned *given = in;
    struct scanning s = { .loop = { .pool = sh_here.run->pool,
                                    .fn = given->merge,
                                    .grain = given->grain },
                          .array = given->array,
                          .size = given->size,
                          .align = given->align };
    bool went_on;

    (void)ctx;
    (void)out;
    shunt_fork(scan, &s, 0, given->n, 1, sh_here.run, &went_on);
    return sh_loop_end(&s.loop);
}

static const shunt_task scan_task = {
    .size_ = sizeof(shunt_task),
    .shape_ = SHUNT_SHAPE_OUT_NONE_,
    .call_ = run_scan,
    .fn_ = "shunt_scan",
    .in_type_ = "",
    .ctx_type_ = "",
    .out_type_ = "shunt_none",
    .in_size_ = sizeof(struct scanned),
    .out_size_ = sizeof(shunt_none),
    .in_align_ = _Alignof(struct scanned),
    .ctx_align_ = 1,
    .out_align_ = _Alignof(shunt_none),
};

shunt_future *shunt_scan_sized(shunt_pool *name, shunt_array_ array,
                               shunt_fn_ *merge_fn, const char *where,
                               size_t options_size,
                               const shunt_for_options *options)
{
    struct scanned in = { merge_fn,     array.at_,
                          array.n_,     array.size_,
                          array.align_, sh_loop_grain(options, options_size) };
    struct sh_pool *pool = NULL;
    int rc = sh_loop_find(name, merge_fn, &pool);

    if (rc == 0)
        rc = sh_loop_check_array(&array);
    if (rc != 0)
        return sh_loop_refuse(pool, rc);
    if (array.n_ < 2)
        return sh_loop_nothing(pool, where);
    return sh_submit_own(pool, &scan_task, &in, NULL, where);
}
