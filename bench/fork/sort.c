/* SPDX-License-Identifier: MIT */
/*
 * fork/sort.c - cilksort's parts, and its row.
 */
#include "fork/sort.h"

#include <stdlib.h>
#include <string.h>

#include "fork/row.h"
#include "measure.h"
#include "workload.h"

/* Shorter ones are sorted by insertion. */
#define INSERTION 20

static void insert(int32_t *values, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        int32_t value = values[i];
        size_t at = i;

        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

static int32_t middle(int32_t a, int32_t b, int32_t c)
{
    int32_t low = a < b ? a : b, high = a < b ? b : a;

    return c < low ? low : c > high ? high : c;
}

static void quicksort(int32_t *values, size_t n)
{
    while (n > INSERTION) {
        int32_t pivot = middle(values[0], values[n / 2], values[n - 1]);
        size_t low = 0, high = n - 1;

        for (;; low++, high--) {
            while (values[low] < pivot)
                low++;
            while (values[high] > pivot)
                high--;
            if (low >= high)
                break;
            int32_t value = values[low];
            values[low] = values[high];
            values[high] = value;
        }
        quicksort(values + low, n - low);
        n = low;
    }
    insert(values, n);
}

void bench_sort_leaf(const struct bench_sort *s)
{
    quicksort(s->values, s->n);
}

/* Where the i-th quarter begins. */
static size_t quarter_at(const struct bench_sort *s, int i)
{
    return s->n / 4 * (size_t)i;
}

static size_t quarter_end(const struct bench_sort *s, int i)
{
    return i == 3 ? s->n : quarter_at(s, i + 1);
}

struct bench_sort bench_sort_quarter(const struct bench_sort *s, int i)
{
    size_t at = quarter_at(s, i);

    return (struct bench_sort){ .values = s->values + at,
                                .space = s->space + at,
                                .n = quarter_end(s, i) - at };
}

struct bench_merge bench_sort_pair(const struct bench_sort *s, int i)
{
    size_t a = quarter_at(s, 2 * i), b = quarter_at(s, 2 * i + 1);

    return (struct bench_merge){ .a = s->values + a,
                                 .b = s->values + b,
                                 .a_n = b - a,
                                 .b_n = quarter_end(s, 2 * i + 1) - b,
                                 .out = s->space + a };
}

struct bench_merge bench_sort_pairs(const struct bench_sort *s)
{
    size_t half = quarter_at(s, 2);

    return (struct bench_merge){ .a = s->space,
                                 .b = s->space + half,
                                 .a_n = half,
                                 .b_n = s->n - half,
                                 .out = s->values };
}

void bench_merge_leaf(const struct bench_merge *m)
{
    const int32_t *a = m->a, *b = m->b, *a_end = a + m->a_n,
                  *b_end = b + m->b_n;
    int32_t *out = m->out;

    while (a < a_end && b < b_end)
        *out++ = *b < *a ? *b++ : *a++;
    memcpy(out, a, (size_t)(a_end - a) * sizeof(*a));
    memcpy(out + (a_end - a), b, (size_t)(b_end - b) * sizeof(*b));
}

/* How many of the n sorted values are less than value. */
static size_t count_less(const int32_t *values, size_t n, int32_t value)
{
    size_t low = 0;

    while (n > 0) {
        size_t half = n / 2;

        if (values[low + half] < value) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

void bench_merge_split(const struct bench_merge *m, struct bench_merge *low,
                       struct bench_merge *high)
{
    struct bench_merge w = *m;
    size_t a, b;

    if (w.a_n < w.b_n) {
        w.a = m->b;
        w.a_n = m->b_n;
        w.b = m->a;
        w.b_n = m->a_n;
    }
    a = w.a_n / 2;
    b = count_less(w.b, w.b_n, w.a[a]);
    *low = (struct bench_merge){
        .a = w.a, .b = w.b, .a_n = a, .b_n = b, .out = w.out
    };
    *high = (struct bench_merge){ .a = w.a + a,
                                  .b = w.b + b,
                                  .a_n = w.a_n - a,
                                  .b_n = w.b_n - b,
                                  .out = w.out + a + b };
}

/* -- the row -- */

static struct bench_sort whole;
static int32_t *mixed; /* the numbers from 0 on in another order */

static double sort_setup(void)
{
    uint64_t random = 1;

    whole.n = bench_scaled(10000000);
    mixed = bench_fork_memory_new(3 * whole.n * sizeof(*mixed));
    if (mixed == NULL)
        return 0.0;
    whole.values = mixed + whole.n;
    whole.space = whole.values + whole.n;
    for (size_t i = 0; i < whole.n; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        size_t other = (size_t)((random >> 32) % (i + 1));
        mixed[i] = mixed[other];
        mixed[other] = (int32_t)i;
    }
    return 1e6;
}

static void sort_renew(void)
{
    memcpy(whole.values, mixed, whole.n * sizeof(*mixed));
}

static int sort_round(const struct bench_fork *system)
{
    return system->sort(&whole);
}

static bool sort_is_right(void)
{
    for (size_t i = 0; i < whole.n; i++)
        if (whole.values[i] != (int32_t)i)
            return false;
    return true;
}

static void sort_teardown(void)
{
    bench_fork_memory_free(mixed);
    mixed = NULL;
}

const struct bench_fork_row bench_fork_sort = {
    .name = "fork/cilksort",
    .counter = "ms",
    .setup = sort_setup,
    .renew = sort_renew,
    .round = sort_round,
    .right = sort_is_right,
    .teardown = sort_teardown,
};
