/* SPDX-License-Identifier: MIT */
/*
 * area_test.c - shunt_for_2d calls its body for each pair of a row and a column
 * once.
 */
#include <string.h>

#include "stage.h"

static void assert_visited(const unsigned char *counts, size_t n, int times)
{
    size_t i = 0;

    while (i < n && counts[i] == times)
        i++;
    if (i < n)
        assert_long(counts[i], times);
}

struct picture {
    unsigned char *counts;
    size_t width;
    size_t bad; /* fails there, but for SIZE_MAX */
    struct latch *begun;
};

static int visit_area(size_t row_from, size_t row_to, size_t column_from,
                      size_t column_to, const struct picture *p)
{
    if (row_from >= row_to || column_from >= column_to)
        return 1;
    if (p->begun != NULL && row_from + column_from == 0)
        latch_raise(p->begun);
    for (size_t r = row_from; p->counts != NULL && r < row_to; r++)
        for (size_t c = column_from; c < column_to; c++) {
            p->counts[r * p->width + c]++;
            if (r * p->width + c == p->bad)
                return shunt_fail(50, "row %zu, column %zu", r, c);
        }
    return 0;
}

static void each_pair_is_visited_once_whatever_the_shape(void)
{
    static const size_t shapes[][2] = {
        { 0, 5 }, { 5, 0 },    { 1, 1 },     { 1, 1000 },   { 1000, 1 },
        { 2, 3 }, { 7, 1000 }, { 1000, 7 },  { 300, 300 },  { 13, 17 },
        { 1, 2 }, { 2, 1 },    { 3, 50000 }, { 1000, 1000 }
    };
    unsigned char *counts = stage_bytes(1000000);

    for (int workers = 1; workers <= 8; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            size_t rows = shapes[i][0], columns = shapes[i][1];
            struct picture p = { counts, columns, SIZE_MAX, NULL };

            harness_note("%d workers, %zu x %zu", workers, rows, columns);
            memset(counts, 0, rows * columns);
            for (int round = 0; round < 3; round++)
                assert_joins(
                    shunt_for_2d(pool, 0, rows, 0, columns, visit_area, &p), 0);
            assert_visited(counts, rows * columns, 3);
        }
        harness_free(pool);
    }
}

static void an_area_need_not_begin_at_its_corner(void)
{
    struct picture p = { stage_bytes(10000), 100, SIZE_MAX, NULL };
    shunt_pool *pool = harness_pool(2);

    assert_joins(shunt_for_2d(pool, 10, 20, 30, 90, visit_area, &p), 0);
    for (size_t i = 0; i < 10000; i++) {
        bool within = i / 100 >= 10 && i / 100 < 20 && i % 100 >= 30 &&
                      i % 100 < 90;
        assert_long(p.counts[i], within);
    }
    harness_free(pool);
}

static void a_body_that_fails_in_an_area_fails_the_loop(void)
{
    static const size_t bad[] = { 0, 1, 99, 100, 5050, 9998, 9999 };
    shunt_pool *pool = harness_pool(3);

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct picture p = { stage_bytes(10000), 100, bad[i], NULL };
        shunt_future *f = shunt_for_2d(pool, 0, 100, 0, 100, visit_area, &p);
        char text[48];

        snprintf(text, sizeof text, "row %zu, column %zu", bad[i] / 100,
                 bad[i] % 100);
        assert_fails_with(f, 50);
        assert_non_null(strstr(shunt_error_of(f)->message, text));
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static void a_cancelled_area_ends(void)
{
    struct picture p = { NULL, 0, SIZE_MAX, stage_latch() };
    shunt_pool *pool = harness_pool(3);
    shunt_future *f = shunt_for_2d(pool, 0, SIZE_MAX / 8, 0, 8, visit_area, &p);

    assert_true(latch_reaches(p.begun, 1));
    assert_status(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    harness_free(pool);
}

static int no_body_2d(size_t a, size_t b, size_t c, size_t d, const void *none)
{
    (void)none;
    return a < b && c < d ? 0 : 1;
}

static void a_bad_argument_fails_a_loop_over_an_area(void)
{
    int (*none_2d)(size_t, size_t, size_t, size_t, const void *) = NULL;
    shunt_pool *pool = harness_pool(1);
    char bytes[4] = "";
    void *unknown = bytes;

    assert_joins(shunt_for_2d(pool, 2, 1, 0, 1, no_body_2d, NULL),
                 SHUNT_EINVAL);
    assert_joins(shunt_for_2d(pool, 0, 1, 2, 1, no_body_2d, NULL),
                 SHUNT_EINVAL);
    assert_joins(shunt_for_2d(pool, 0, SIZE_MAX, 0, 2, no_body_2d, NULL),
                 SHUNT_EINVAL);
    assert_joins(shunt_for_2d(pool, 0, 1, 0, 1, none_2d, NULL), SHUNT_EINVAL);
    assert_joins(shunt_for_2d(pool, 0, 1, 0, 1, no_body_2d, unknown),
                 SHUNT_EINVAL);
    assert_joins(shunt_for_2d(NULL, 0, 1, 0, 1, no_body_2d, NULL),
                 SHUNT_EINVAL);
    assert_joins(shunt_for_2d(pool, 3, 3, 0, 9, no_body_2d, NULL), 0);
    assert_joins(shunt_for_2d(pool, 0, SIZE_MAX, 9, 9, no_body_2d, NULL), 0);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_for_2d(pool, 0, 1, 0, 1, no_body_2d, NULL),
                 SHUNT_ECLOSED);
    harness_free(pool);
}

/* ---- grain ---- */

struct alone {
    struct tally *pairs, *others;
    size_t grain;
};

static int count_alone(size_t row, size_t row_to, size_t column,
                       size_t column_to, const struct alone *a)
{
    size_t n = (row_to - row) * (column_to - column);

    tally_add(a->pairs, (long)n);
    if (n < a->grain)
        tally_add(a->others, 1);
    return 0;
}

/* Of 32 x 32 pairs no part can be cut off with a grain of 1024, and only halves
 * with one of 512; smaller ones leave edges. */
static void no_half_of_a_square_is_smaller_than_the_grain(void)
{
    static const size_t grains[] = { 1, 30, 256, 512, 1024 };
    struct alone all = { stage_tally(), stage_tally(), 35 };
    shunt_pool *pool = harness_pool(3);

    for (size_t i = 0; i < sizeof grains / sizeof grains[0]; i++)
        for (int round = 0; round < 20; round++) {
            struct alone a = { stage_tally(), stage_tally(), grains[i] };

            assert_joins(shunt_for_2d_with(pool, 0, 32, 0, 32, count_alone, &a,
                                           .grain = grains[i]),
                         0);
            assert_long(tally_of(a.pairs), 1024);
            if (grains[i] >= 512)
                assert_long(tally_of(a.others), 0);
        }
    assert_joins(shunt_for_2d_with(pool, 0, 5, 0, 7, count_alone, &all,
                                   .grain = SIZE_MAX),
                 0);
    assert_long(tally_of(all.pairs), 35);
    assert_long(tally_of(all.others), 0);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(no_half_of_a_square_is_smaller_than_the_grain),
    CLAIM(each_pair_is_visited_once_whatever_the_shape),
    CLAIM(an_area_need_not_begin_at_its_corner),
    CLAIM(a_body_that_fails_in_an_area_fails_the_loop),
    CLAIM(a_cancelled_area_ends),
    CLAIM(a_bad_argument_fails_a_loop_over_an_area),
};

HARNESS_MAIN(claims)
