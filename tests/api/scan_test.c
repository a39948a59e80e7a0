/* SPDX-License-Identifier: MIT */
/*
 * scan_test.c - shunt_scan makes each element of an array what all up to it are
 * together, in their order.
 */
#include <string.h>

#include "stage.h"

static const size_t sizes[] = { 0, 1, 2, 3, 7, 1000, 1000000 };
enum {
    SIZES = sizeof sizes / sizeof sizes[0]
};

/* ---- two by two matrices modulo 2^64: not commutative ---- */

struct matrix {
    uint64_t a, b, c, d;
};

static struct matrix matrix_of(uint64_t i)
{
    return (struct matrix){ i * 3 + 1, i ^ 0x55, 2, i | 1 };
}

static int multiply(const struct matrix *x, const struct matrix *y,
                    struct matrix *out)
{
    if ((out->a | out->b | out->c | out->d) != 0 || out == x || out == y)
        return 1;
    *out =
        (struct matrix){ x->a * y->a + x->b * y->c, x->a * y->b + x->b * y->d,
                         x->c * y->a + x->d * y->c, x->c * y->b + x->d * y->d };
    return 0;
}

static void assert_scanned(const struct matrix *array, size_t n)
{
    struct matrix sum = matrix_of(0);

    for (size_t i = 0; i < n; i++) {
        struct matrix next = matrix_of(i), product = { 0, 0, 0, 0 };

        if (i > 0) {
            multiply(&sum, &next, &product);
            sum = product;
        }
        if (memcmp(&array[i], &sum, sizeof sum) != 0)
            assert_long((long)i, -1);
    }
}

static void a_scan_is_what_it_is_from_left_to_right(void)
{
    size_t most = 1000000 / harness_slowness();
    struct matrix *array = stage_bytes(most * sizeof *array);

    harness_limit(120);
    for (int workers = 1; workers <= 8; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (int k = 0; k < SIZES; k++) {
            size_t n = sizes[k] < most ? sizes[k] : most;

            harness_note("%d workers, %zu elements", workers, n);
            for (int round = 0; round < 3; round++) {
                for (size_t i = 0; i < n; i++)
                    array[i] = matrix_of(i);
                assert_joins(shunt_scan(pool, multiply, array, n), 0);
                assert_scanned(array, n);
            }
        }
        harness_free(pool);
    }
}

/* Method: merges that take long, so that all workers have parts of parts. */
static int add_slowly(const long *a, const long *b, long *out)
{
    for (volatile long n = 300 + (*b & 1) * 3000; n > 0; n--)
        ;
    *out = *a + *b;
    return 0;
}

static void merges_may_take_long_and_be_uneven(void)
{
    enum {
        N = 20000
    };
    long *array = stage_bytes(N * sizeof *array);
    shunt_pool *pool = harness_pool(4);

    harness_limit(120);
    for (long round = harness_rounds(40); round > 0; round--) {
        for (long i = 0; i < N; i++)
            array[i] = i;
        assert_joins(shunt_scan(pool, add_slowly, array, N), 0);
        for (long i = 0; i < N; i++)
            assert_long(array[i], i * (i + 1) / 2);
    }
    harness_free(pool);
}

struct wide {
    _Alignas(64) uint64_t words[40];
};

static int add_wide(const struct wide *a, const struct wide *b,
                    struct wide *out)
{
    for (int i = 0; i < 40; i++)
        out->words[i] = a->words[i] + b->words[i];
    return (uintptr_t)out % 64 != 0;
}

static void elements_may_be_large_and_aligned(void)
{
    enum {
        N = 5000
    };
    struct wide *array = stage_bytes(N * sizeof *array);
    shunt_pool *pool = harness_pool(3);

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++)
            for (size_t k = 0; k < 40; k++)
                array[i].words[k] = k;
        assert_joins(shunt_scan(pool, add_wide, array, N), 0);
        for (size_t i = 0; i < N; i++)
            for (size_t k = 0; k < 40; k++)
                assert_true(array[i].words[k] == k * (i + 1));
    }
    harness_free(pool);
}

/* ---- failures and cancellation ---- */

static int fail_at_42(const long *a, const long *b, long *out)
{
    *out = *a;
    return *b == 42 ? shunt_fail(42, "found %ld", *b) : 0;
}

static void a_merge_that_fails_fails_the_scan(void)
{
    static const long at[] = { 1, 2, 5000, 9998, 9999 };
    enum {
        N = 10000
    };
    long *array = stage_bytes(N * sizeof *array);
    shunt_pool *pool = harness_pool(3);

    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        shunt_future *f;

        memset(array, 0, N * sizeof *array);
        array[at[i]] = 42;
        f = shunt_scan(pool, fail_at_42, array, N);
        assert_fails_with(f, 42);
        assert_non_null(strstr(shunt_error_of(f)->message, "found 42"));
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static int wait_to_be_cancelled(struct latch *const *a, struct latch *const *b,
                                struct latch **out)
{
    latch_raise(*b);
    while (!shunt_cancelled())
        ;
    *out = *a;
    return 0;
}

static void a_cancelled_scan_ends(void)
{
    enum {
        N = 10000
    };
    struct latch **array = stage_bytes(N * sizeof *array);
    struct latch *begun = stage_latch();
    shunt_pool *pool = harness_pool(3);
    shunt_future *f;

    for (int i = 0; i < N; i++)
        array[i] = begun;
    f = shunt_scan(pool, wait_to_be_cancelled, array, N);
    assert_true(latch_reaches(begun, 1));
    assert_status(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    harness_free(pool);
}

static void a_bad_argument_fails_a_scan(void)
{
    int (*none)(const long *, const long *, long *) = NULL;
    shunt_pool *pool = harness_pool(1);
    long array[2] = { 1, 2 }, *nothing = NULL;

    assert_joins(shunt_scan(pool, none, array, 2), SHUNT_EINVAL);
    assert_joins(shunt_scan(pool, add_slowly, nothing, 2), SHUNT_EINVAL);
    assert_joins(shunt_scan(pool, add_slowly, array, SIZE_MAX), SHUNT_EINVAL);
    assert_joins(shunt_scan(NULL, add_slowly, array, 2), SHUNT_EINVAL);
    assert_joins(shunt_scan(pool, add_slowly, nothing, 0), 0);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_scan(pool, add_slowly, array, 2), SHUNT_ECLOSED);
    assert_long(array[1], 2);
    harness_free(pool);
}

/* ---- grain ---- */

struct counted {
    struct tally *merges;
    long sum;
};

static int merge_counted(const struct counted *a, const struct counted *b,
                         struct counted *out)
{
    tally_add(a->merges, 1);
    *out = (struct counted){ a->merges, a->sum + b->sum };
    return 0;
}

/* Where nothing can be cut off nothing is gone over twice, however many workers
 * there are. */
static void with_a_grain_of_all_no_element_is_merged_twice(void)
{
    enum {
        N = 2000
    };
    struct counted *array = stage_bytes(N * sizeof *array);
    shunt_pool *pool = harness_pool(4);

    for (int round = 0; round < 50; round++) {
        struct tally *merges = stage_tally();

        for (long i = 0; i < N; i++)
            array[i] = (struct counted){ merges, 1 };
        assert_joins(shunt_scan_with(pool, merge_counted, array, N,
                                     .grain = round % 2 == 0 ? N : SIZE_MAX),
                     0);
        assert_long(tally_of(merges), N - 1);
        assert_long(array[N - 1].sum, N);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(with_a_grain_of_all_no_element_is_merged_twice),
    CLAIM(a_scan_is_what_it_is_from_left_to_right),
    CLAIM(merges_may_take_long_and_be_uneven),
    CLAIM(elements_may_be_large_and_aligned),
    CLAIM(a_merge_that_fails_fails_the_scan),
    CLAIM(a_cancelled_scan_ends),
    CLAIM(a_bad_argument_fails_a_scan),
};

HARNESS_MAIN(claims)
