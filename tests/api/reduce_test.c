/* SPDX-License-Identifier: MIT */
/*
 * reduce_test.c - shunt_reduce merges the values of a task in their order.
 */
#include <stdlib.h>
#include <string.h>

#include "stage.h"

/* ---- maps x -> a x + b, whose composition is not commutative ---- */

#define PRIME 2147483647u

struct map {
    uint64_t a, b;
};

static struct map map_of(uint64_t i)
{
    return (struct map){ (i * 2654435761u + 1) % PRIME,
                         (i * 40503u + 7) % PRIME };
}

static struct map compose(struct map f, struct map g)
{
    return (struct map){ f.a * g.a % PRIME, (g.a * f.b + g.b) % PRIME };
}

static int make_map(const uint64_t *i, struct map *out)
{
    *out = map_of(*i);
    return 0;
}
SHUNT_TASK(make_map, uint64_t, struct map)

static int merge_maps(const struct map *f, const struct map *g, struct map *out)
{
    if (out->a != 0 || out->b != 0)
        return 1;
    *out = compose(*f, *g);
    return 0;
}

static void a_reduce_has_the_value_of_merging_in_order(void)
{
    static const size_t sizes[] = { 1, 2, 3, 7, 1000, 1000000 };
    uint64_t *ins = calloc(1000000, sizeof *ins);
    size_t most = harness_elements(1000000);

    harness_limit(120);
    harness_footprint((size_t)64 << 20);
    for (size_t i = 0; i < 1000000; i++)
        ins[i] = i;
    for (int workers = 1; workers <= 8; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            size_t n = sizes[k] < most ? sizes[k] : most;
            struct map expected = map_of(0), got = { 0, 0 };

            for (size_t i = 1; i < n; i++)
                expected = compose(expected, map_of(i));
            for (int round = 0; round < 3; round++) {
                assert_ok(shunt_take(
                    shunt_reduce(pool, make_map, merge_maps, ins, n), &got));
                assert_true(got.a == expected.a && got.b == expected.b);
            }
        }
        harness_free(pool);
    }
    free(ins);
}

/* ---- large and aligned values, uneven tasks ---- */

struct word {
    _Alignas(32) size_t length;
    char letters[2000];
};

static int make_letter(const size_t *i, struct word *out)
{
    for (volatile size_t n = *i % 100 == 3 ? 30000 : 0; n > 0; n--)
        ;
    out->length = 1;
    out->letters[0] = (char)('a' + *i % 26);
    return 0;
}
SHUNT_TASK(make_letter, size_t, struct word)

static int join_words(const struct word *a, const struct word *b,
                      struct word *out)
{
    out->length = a->length + b->length;
    memcpy(out->letters, a->letters, a->length);
    memcpy(out->letters + a->length, b->letters, b->length);
    return (uintptr_t)a % 32 + (uintptr_t)b % 32 + (uintptr_t)out % 32 != 0;
}

static void values_may_be_large_and_tasks_uneven(void)
{
    enum {
        N = 2000
    };
    shunt_pool *pool = harness_pool(4);
    size_t ins[N];

    for (size_t i = 0; i < N; i++)
        ins[i] = i;
    for (long round = harness_rounds(40); round > 0; round--) {
        shunt_future *f = shunt_reduce(pool, make_letter, join_words, ins, N);
        const struct word *w;

        assert_settles(f, 0);
        w = shunt_peek(f, struct word);
        assert_non_null(w);
        assert_long((long)w->length, N);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(w->letters[i], 'a' + i % 26);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static int add(const long *a, const long *b, long *out)
{
    *out = *a + *b;
    return 0;
}

static void the_inputs_are_copied(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    long ins[100];
    shunt_future *f;

    for (long i = 0; i < 100; i++)
        ins[i] = i;
    f = shunt_reduce(pool, stage_same, add, ins, 100);
    memset(ins, 0xff, sizeof ins);
    stage_let(hold);
    assert_takes(f, 4950);
    harness_free(pool);
}

static int one(const shunt_none *in, long *out)
{
    (void)in;
    *out = 1;
    return 0;
}
SHUNT_TASK(one, shunt_none, long)

static void a_task_without_an_input_is_run_n_times(void)
{
    shunt_pool *pool = harness_pool(2);

    assert_takes(shunt_reduce(pool, one, add, NULL, 1234), 1234);
    harness_free(pool);
}

/* ---- failures and cancellation ---- */

struct failing {
    long value, fail_at, merge_fails_at;
    struct tally *ran, *dropped;
    struct latch *begun;
    bool endless;
};

static void count_drop(void *in)
{
    tally_add(((struct failing *)in)->dropped, 1);
}

static int fail_at(const struct failing *in, struct failing *out)
{
    tally_add(in->ran, 1);
    if (in->begun != NULL)
        latch_raise(in->begun);
    while (in->endless && !shunt_cancelled())
        ;
    *out = *in;
    return in->value == in->fail_at ? shunt_fail(60, "element %ld", in->value)
                                    : 0;
}
SHUNT_TASK(fail_at, struct failing, struct failing, .drop = count_drop)

static int merge_failing(const struct failing *a, const struct failing *b,
                         struct failing *out)
{
    *out = *b;
    return a->merge_fails_at >= a->value && a->merge_fails_at < b->value
               ? shunt_fail(61, "at %ld", a->merge_fails_at)
               : 0;
}

enum {
    FAILING = 1000
};

static void assert_reduce_fails(shunt_pool *pool, struct failing like,
                                int task_code, const char *text)
{
    struct failing ins[FAILING];
    struct tally *dropped = stage_tally();
    shunt_future *f;

    like.ran = stage_tally();
    like.dropped = dropped;
    for (long i = 0; i < FAILING; i++) {
        ins[i] = like;
        ins[i].value = i;
    }
    f = shunt_reduce(pool, fail_at, merge_failing, ins, FAILING);
    assert_fails_with(f, task_code);
    assert_string_equal(shunt_error_of(f)->task, "fail_at");
    assert_non_null(strstr(shunt_error_of(f)->message, text));
    assert_ok(shunt_release(f));
    assert_in_range(tally_of(like.ran), 1, FAILING);
    /* The hook is called before the future settles, or just behind that. */
    for (int i = 0; tally_of(dropped) < FAILING && i < 1000; i++)
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_long(tally_of(dropped), FAILING);
}

static void a_failing_task_or_merge_fails_the_reduce(void)
{
    static const long at[] = { 0, 1, 499, 500, 998, 999 };

    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
            char text[32];

            snprintf(text, sizeof text, "element %ld", at[i]);
            assert_reduce_fails(
                pool,
                (struct failing){ .fail_at = at[i], .merge_fails_at = -1 }, 60,
                text);
            snprintf(text, sizeof text, "at %ld", at[i]);
            if (at[i] < FAILING - 1)
                assert_reduce_fails(
                    pool,
                    (struct failing){ .fail_at = -1, .merge_fails_at = at[i] },
                    61, text);
        }
        harness_free(pool);
    }
}

static void a_cancelled_reduce_begins_no_further_element(void)
{
    struct failing ins[10];
    struct failing like = { .fail_at = -1,
                            .merge_fails_at = -1,
                            .endless = true,
                            .ran = stage_tally(),
                            .dropped = stage_tally(),
                            .begun = stage_latch() };
    shunt_pool *pool = harness_pool(2);
    shunt_future *f;

    for (int i = 0; i < 10; i++)
        ins[i] = like;
    f = shunt_reduce(pool, fail_at, merge_failing, ins, 10);
    assert_true(latch_reaches(like.begun, 1));
    assert_status(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    harness_free(pool);
    assert_in_range(tally_of(like.ran), 1, 2);
    assert_long(tally_of(like.dropped), 10);
}

static int careless(const long *in, long *out)
{
    return stage_same(in, out);
}
SHUNT_TASK(careless, long, long, .untrusted = true)

static int later(const long *in, shunt_future **out)
{
    *out = shunt_submit(NULL, stage_same, in);
    return 0;
}
SHUNT_TASK(later, long, shunt_future *)

static int merge_futures(shunt_future *const *a, shunt_future *const *b,
                         shunt_future **out)
{
    *out = *a != NULL ? *a : *b;
    return 0;
}

static void a_bad_argument_fails_a_reduce(void)
{
    int (*none)(const long *, const long *, long *) = NULL;
    shunt_pool *pool = harness_pool(1);
    long ins[3] = { 1, 2, 3 };

    assert_joins(shunt_reduce(pool, stage_same, add, ins, 0), SHUNT_EINVAL);
    assert_joins(shunt_reduce(pool, stage_same, add, NULL, 3), SHUNT_EINVAL);
    assert_joins(shunt_reduce(pool, stage_same, none, ins, 3), SHUNT_EINVAL);
    assert_joins(shunt_reduce(pool, stage_same, NULL, ins, 3), SHUNT_EINVAL);
    assert_joins(shunt_reduce(NULL, stage_same, add, ins, 3), SHUNT_EINVAL);
    assert_joins(shunt_reduce(pool, later, merge_futures, ins, 3),
                 SHUNT_EINVAL);
    assert_joins(shunt_reduce(pool, stage_same, add, ins, SIZE_MAX),
                 SHUNT_ENOMEM);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_reduce(pool, stage_same, add, ins, 3), SHUNT_ECLOSED);
    harness_free(pool);
}

static void a_reduce_of_a_kind_that_cannot_run_here_fails(void)
{
    shunt_pool *pool = NULL;
    long ins[3] = { 1, 2, 3 };

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .mode = SHUNT_THREADS, .workers = 1 }));
    assert_joins(shunt_reduce(pool, careless, add, ins, 3), SHUNT_ENOTSUP);
    harness_free(pool);
}

struct huge {
    char bytes[3 << 20];
};

static int make_huge(const long *i, struct huge *out)
{
    out->bytes[0] = (char)*i;
    return 0;
}
SHUNT_TASK(make_huge, long, struct huge)

static int merge_huge(const struct huge *a, const struct huge *b,
                      struct huge *out)
{
    out->bytes[0] = (char)(a->bytes[0] + b->bytes[0]);
    return 0;
}

static void without_memory_for_its_values_a_reduce_fails(void)
{
    shunt_pool *pool = NULL;
    long ins[3] = { 1, 2, 3 };

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2, .arena_bytes = 8 << 20 }));
    assert_joins(shunt_reduce(pool, make_huge, merge_huge, ins, 3),
                 SHUNT_ENOMEM);
    assert_takes(shunt_reduce(pool, stage_same, add, ins, 3), 6);
    harness_free(pool);
}

/* ---- in tasks, and nested ---- */

static int sum_below(const long *n, long *out)
{
    long ins[50];

    for (long i = 0; i < *n; i++)
        ins[i] = i;
    return shunt_take(shunt_reduce(NULL, stage_same, add, ins, (size_t)*n),
                      out);
}
SHUNT_TASK(sum_below, long, long)

static void reduces_nest(void)
{
    long ins[50], expected = 0;

    for (long i = 0; i < 50; i++) {
        ins[i] = i + 1;
        expected += i * (i + 1) / 2;
    }
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);

        assert_takes(shunt_reduce(pool, sum_below, add, ins, 50), expected);
        harness_free(pool);
    }
}

static void a_reduce_is_a_future_like_any_other(void)
{
    shunt_pool *pool = harness_pool(2);
    long ins[3] = { 1, 2, 3 };

    assert_takes(
        shunt_then(shunt_reduce(pool, stage_same, add, ins, 3), stage_add_one),
        7);
    harness_free(pool);
}

/* ---- grain ---- */

struct part {
    size_t count;
    bool small; /* a part of fewer than 100 was merged to the left */
};

static int one_part(const long *in, struct part *out)
{
    for (volatile long i = *in; i > 0; i--)
        ;
    out->count = 1;
    return 0;
}
SHUNT_TASK(one_part, long, struct part)

/* What is on the right is one value, or a part that was cut off. */
static int join_parts(const struct part *a, const struct part *b,
                      struct part *out)
{
    out->count = a->count + b->count;
    out->small = a->small || b->small || (b->count > 1 && b->count < 100);
    return 0;
}

static void with_a_grain_no_smaller_part_is_merged(void)
{
    static long ins[1000];
    shunt_pool *pool = harness_pool(4);
    struct part whole;

    for (int i = 0; i < 1000; i++)
        ins[i] = i % 7 * 300;
    for (int round = 0; round < 50; round++) {
        assert_ok(shunt_take(shunt_reduce_with(pool, one_part, join_parts, ins,
                                               1000, .grain = 100),
                             &whole));
        assert_long((long)whole.count, 1000);
        assert_false(whole.small);
        assert_ok(shunt_take(shunt_reduce_with(pool, one_part, join_parts, ins,
                                               1000, .grain = SIZE_MAX),
                             &whole));
        assert_false(whole.small);
        assert_ok(shunt_take(
            shunt_reduce_with(pool, one_part, join_parts, ins, 3), &whole));
        assert_long((long)whole.count, 3);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(with_a_grain_no_smaller_part_is_merged),
    CLAIM(a_reduce_has_the_value_of_merging_in_order),
    CLAIM(values_may_be_large_and_tasks_uneven),
    CLAIM(the_inputs_are_copied),
    CLAIM(a_task_without_an_input_is_run_n_times),
    CLAIM(a_failing_task_or_merge_fails_the_reduce),
    CLAIM(a_cancelled_reduce_begins_no_further_element),
    CLAIM(a_bad_argument_fails_a_reduce),
    CLAIM(without_memory_for_its_values_a_reduce_fails),
    CLAIM(a_reduce_of_a_kind_that_cannot_run_here_fails),
    CLAIM(reduces_nest),
    CLAIM(a_reduce_is_a_future_like_any_other),
};

HARNESS_MAIN(claims)
