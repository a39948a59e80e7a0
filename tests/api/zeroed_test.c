/* SPDX-License-Identifier: MIT */
/*
 * zeroed_test.c - a result of any size begins as zero, beside an input of any
 * size, which is as it was given.
 *
 * Method. For each pair of sizes there are two tasks: one fills its result, so
 * that the memory is not zero when it is used again; the other one looks at its
 * own, and at its input. The sizes are about those at which both just fit into
 * a record, with and without what bounds a task (a deadline, or how often it
 * may run again).
 */
#include <string.h>

#include "stage.h"

enum {
    ROUNDS = 20
};

static int filled(unsigned char *out, size_t out_bytes)
{
    memset(out, 0xa5, out_bytes);
    return 0;
}

/* The first byte of the input says what all of them are. */
static int looked(const unsigned char *in, size_t in_bytes,
                  const unsigned char *out, size_t out_bytes)
{
    for (size_t i = 0; i < in_bytes; i++)
        if (in[i] != 0x5a)
            return 1;
    for (size_t i = 0; i < out_bytes; i++)
        if (out[i] != 0)
            return 2;
    return 0;
}

#define PAIRS(X)                                                               \
    X(1, 1)                                                                    \
    X(1, 40) X(7, 9) X(8, 8) X(8, 16) X(8, 17) X(8, 24) X(8, 25) X(8, 40)      \
        X(8, 41) X(9, 7) X(16, 16) X(16, 17) X(17, 16) X(16, 32) X(16, 33)     \
            X(24, 8) X(24, 9) X(24, 24) X(24, 25) X(25, 16) X(25, 24) X(32, 8) \
                X(40, 8) X(40, 9) X(47, 1) X(48, 1) X(48, 8) X(100, 100)

#define TASKS(i, o)                                                        \
    struct in_##i##_##o {                                                  \
        unsigned char bytes[i];                                            \
    };                                                                     \
    struct out_##i##_##o {                                                 \
        unsigned char bytes[o];                                            \
    };                                                                     \
    static int fill_##i##_##o(const struct in_##i##_##o *in,               \
                              struct out_##i##_##o *out)                   \
    {                                                                      \
        (void)in;                                                          \
        return filled(out->bytes, o);                                      \
    }                                                                      \
    SHUNT_TASK(fill_##i##_##o, struct in_##i##_##o, struct out_##i##_##o)  \
    static int look_##i##_##o(const struct in_##i##_##o *in,               \
                              struct out_##i##_##o *out)                   \
    {                                                                      \
        return looked(in->bytes, i, out->bytes, o);                        \
    }                                                                      \
    SHUNT_TASK(look_##i##_##o, struct in_##i##_##o, struct out_##i##_##o)  \
    static int again_##i##_##o(const struct in_##i##_##o *in,              \
                               struct out_##i##_##o *out)                  \
    {                                                                      \
        return looked(in->bytes, i, out->bytes, o);                        \
    }                                                                      \
    SHUNT_TASK(again_##i##_##o, struct in_##i##_##o, struct out_##i##_##o, \
               .idempotent = true)
PAIRS(TASKS)

static const struct pair {
    const shunt_task *fill, *look, *again;
    size_t out_bytes;
} pairs[] = {
#define PAIR(i, o)                                            \
    { &shunt_task_fill_##i##_##o, &shunt_task_look_##i##_##o, \
      &shunt_task_again_##i##_##o, o },
    PAIRS(PAIR)
};

/* Its result is given back as zero, too. */
static void runs_well(shunt_pool *pool, const shunt_task *task,
                      size_t out_bytes, int64_t deadline_ns)
{
    static const shunt_submit_options none;
    shunt_submit_options o = none;
    unsigned char in[100], out[100];
    shunt_future *f;

    memset(in, 0x5a, sizeof in);
    memset(out, 0xff, sizeof out);
    o.deadline_ns = deadline_ns;
    f = shunt_submit_task(pool, task, in, &o);
    assert_ok(shunt_take_sized(f, out, out_bytes));
    for (size_t i = 0; i < out_bytes; i++)
        assert_int_equal(out[i], 0);
    for (size_t i = out_bytes; i < sizeof out; i++)
        assert_int_equal(out[i], 0xff);
}

static void a_result_begins_as_zero_whatever_the_sizes(void)
{
    shunt_pool *pool = harness_pool(1);
    unsigned char in[100] = { 0 };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        for (int round = 0; round < ROUNDS; round++) {
            const struct pair *p = &pairs[i];

            assert_joins(shunt_submit_task(pool, p->fill, in, NULL), 0);
            runs_well(pool, p->look, p->out_bytes, 0);
            assert_joins(shunt_submit_task(pool, p->fill, in, NULL), 0);
            runs_well(pool, p->look, p->out_bytes, SHUNT_S(600));
            assert_joins(shunt_submit_task(pool, p->fill, in, NULL), 0);
            runs_well(pool, p->again, p->out_bytes, 0);
        }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_result_begins_as_zero_whatever_the_sizes),
};

HARNESS_MAIN(claims)
