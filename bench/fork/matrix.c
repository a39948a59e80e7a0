/* SPDX-License-Identifier: MIT */
/*
 * fork/matrix.c - products of square matrices in parts, and their rows.
 *
 * The elements are small whole numbers, so that no sum is rounded and the
 * product is checked exactly: c * x = a * (b * x), after Freivalds.
 */
#include "fork/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "fork/row.h"
#include "measure.h"
#include "workload.h"

void bench_product_leaf(const struct bench_product *p)
{
    for (size_t i = 0; i < p->n; i++) {
        double *restrict c = p->c.at + i * p->c.stride;

        for (size_t k = 0; k < p->n; k++) {
            const double *restrict b = p->b.at + k * p->b.stride;
            double a = p->a.at[i * p->a.stride + k];

            for (size_t j = 0; j < p->n; j++)
                c[j] += a * b[j];
        }
    }
}

static struct bench_matrix quarter_of(struct bench_matrix m, size_t n, int row,
                                      int column)
{
    size_t half = n / 2;

    m.at += (size_t)row * half * m.stride + (size_t)column * half;
    return m;
}

struct bench_product bench_product_part(const struct bench_product *p,
                                        int quarter, int k)
{
    int i = quarter / 2, j = quarter % 2;

    return (struct bench_product){ .c = quarter_of(p->c, p->n, i, j),
                                   .a = quarter_of(p->a, p->n, i, k),
                                   .b = quarter_of(p->b, p->n, k, j),
                                   .n = p->n / 2 };
}

/* -- strassen -- */

/* What is added up to the operands of each product, and to what of c that is
 * added: signs of the quarters 11, 12, 21, 22. */
static const struct {
    signed char a[4], b[4], c[4];
} products[7] = {
    { { 1, 0, 0, 1 }, { 1, 0, 0, 1 }, { 1, 0, 0, 1 } },
    { { 0, 0, 1, 1 }, { 1, 0, 0, 0 }, { 0, 0, 1, -1 } },
    { { 1, 0, 0, 0 }, { 0, 1, 0, -1 }, { 0, 1, 0, 1 } },
    { { 0, 0, 0, 1 }, { -1, 0, 1, 0 }, { 1, 0, 1, 0 } },
    { { 1, 1, 0, 0 }, { 0, 0, 0, 1 }, { -1, 1, 0, 0 } },
    { { -1, 0, 1, 0 }, { 1, 1, 0, 0 }, { 0, 0, 0, 1 } },
    { { 0, 1, 0, -1 }, { 0, 0, 1, 1 }, { 1, 0, 0, 0 } },
};

/* to += sign * from, n by n. */
static void add(struct bench_matrix to, struct bench_matrix from, double sign,
                size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double *restrict sum = to.at + i * to.stride;
        const double *restrict part = from.at + i * from.stride;

        for (size_t j = 0; j < n; j++)
            sum[j] += sign * part[j];
    }
}

/* to becomes the sum of one quarter of m, which has n rows, or of two. */
static void sum_quarters(struct bench_matrix to, struct bench_matrix m,
                         size_t n, const signed char *signs)
{
    struct bench_matrix parts[2] = { m, m };
    double sign[2] = { 0.0, 0.0 };

    for (int q = 0, found = 0; q < 4; q++)
        if (signs[q] != 0) {
            parts[found] = quarter_of(m, n, q / 2, q % 2);
            sign[found++] = signs[q];
        }
    for (size_t i = 0; i < n / 2; i++) {
        double *restrict sum = to.at + i * to.stride;
        const double *x = parts[0].at + i * m.stride;
        const double *y = parts[1].at + i * m.stride;

        for (size_t j = 0; j < n / 2; j++)
            sum[j] = sign[0] * x[j] + sign[1] * y[j];
    }
}

size_t bench_strassen_bytes(const struct bench_product *p)
{
    return 21 * (p->n / 2) * (p->n / 2) * sizeof(double);
}

void bench_strassen_sums(struct bench_strassen *s,
                         const struct bench_product *p, double *memory)
{
    size_t half = p->n / 2, size = half * half;
    double *at = memory;

    s->memory = memory;
    for (int i = 0; i < 7; i++, at += 3 * size) {
        struct bench_product *part = &s->parts[i];

        *part = (struct bench_product){ .c = { at, half },
                                        .a = { at + size, half },
                                        .b = { at + 2 * size, half },
                                        .n = half };
        memset(at, 0, size * sizeof(*at));
        sum_quarters(part->a, p->a, p->n, products[i].a);
        sum_quarters(part->b, p->b, p->n, products[i].b);
    }
}

bool bench_strassen_split(struct bench_strassen *s,
                          const struct bench_product *p)
{
    double *memory = malloc(bench_strassen_bytes(p));

    if (memory == NULL)
        return false;
    bench_strassen_sums(s, p, memory);
    return true;
}

void bench_strassen_add(const struct bench_strassen *s,
                        const struct bench_product *p)
{
    for (int i = 0; i < 7; i++)
        for (int q = 0; q < 4; q++)
            if (products[i].c[q] != 0)
                add(quarter_of(p->c, p->n, q / 2, q % 2), s->parts[i].c,
                    products[i].c[q], p->n / 2);
}

void bench_strassen_join(struct bench_strassen *s,
                         const struct bench_product *p)
{
    bench_strassen_add(s, p);
    free(s->memory);
}

/* -- the rows -- */

static struct bench_product whole;
static double *elements;

static double product_setup(void)
{
    size_t n = 1024, work = bench_scaled(1024), numbers;
    uint32_t random = 1;

    /* The work is that of n * n * n. */
    for (; work * 8 <= 1024 && n > BENCH_PRODUCT_LEAF; work *= 8)
        n /= 2;
    numbers = n * n;
    elements = bench_fork_memory_new((3 * numbers + 3 * n) * sizeof(*elements));
    if (elements == NULL)
        return 0.0;
    whole = (struct bench_product){ .c = { elements, n },
                                    .a = { elements + numbers, n },
                                    .b = { elements + 2 * numbers, n },
                                    .n = n };
    for (size_t i = numbers; i < 3 * numbers + n; i++) {
        random = random * 1664525 + 1013904223;
        elements[i] = random >> 28;
    }
    return 1e6;
}

static void product_renew(void)
{
    memset(elements, 0, whole.n * whole.n * sizeof(*elements));
}

static void times(struct bench_matrix m, const double *x, double *out)
{
    for (size_t i = 0; i < whole.n; i++) {
        out[i] = 0.0;
        for (size_t j = 0; j < whole.n; j++)
            out[i] += m.at[i * m.stride + j] * x[j];
    }
}

static bool product_is_right(void)
{
    double *x = elements + 3 * whole.n * whole.n, *y = x + whole.n,
           *z = y + whole.n;

    times(whole.b, x, y);
    times(whole.a, y, z);
    times(whole.c, x, y);
    return memcmp(y, z, whole.n * sizeof(*y)) == 0;
}

static void product_teardown(void)
{
    bench_fork_memory_free(elements);
    elements = NULL;
}

static int matmul_round(const struct bench_fork *system)
{
    return system->matmul(&whole);
}

const struct bench_fork_row bench_fork_matmul = {
    .name = "fork/matmul",
    .counter = "ms",
    .setup = product_setup,
    .renew = product_renew,
    .round = matmul_round,
    .right = product_is_right,
    .teardown = product_teardown,
};

static int strassen_round(const struct bench_fork *system)
{
    return system->strassen(&whole);
}

const struct bench_fork_row bench_fork_strassen = {
    .name = "fork/strassen",
    .counter = "ms",
    .setup = product_setup,
    .renew = product_renew,
    .round = strassen_round,
    .right = product_is_right,
    .teardown = product_teardown,
};
