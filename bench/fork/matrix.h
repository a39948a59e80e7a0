/* SPDX-License-Identifier: MIT */
/*
 * fork/matrix.h - products of square matrices, in parts.
 *
 * The recursions, c += a * b, for matrices of n by n, n being a power of two:
 *
 *     matmul    two times four products of halves; the four go to different
 *               quarters of c, so they may run at the same time
 *     strassen  seven products of sums of halves, which may all run at the same
 *               time, and c is added up of them (Strassen 1969)
 */
#ifndef BENCH_FORK_MATRIX_H
#define BENCH_FORK_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Products of so many rows, or fewer, are not split. */
#define BENCH_PRODUCT_LEAF 64
#define BENCH_STRASSEN_LEAF 128

struct bench_matrix {
    double *at;
    size_t stride; /* from one row to the next */
};

struct bench_product {
    struct bench_matrix c, a, b;
    size_t n;
};

void bench_product_leaf(const struct bench_product *p);

/* The k-th of the two products for a quarter of c. */
struct bench_product bench_product_part(const struct bench_product *p,
                                        int quarter, int k);

struct bench_strassen {
    struct bench_product parts[7];
    double *memory;
};

/* How much memory the sums take that its seven products are of. */
size_t bench_strassen_bytes(const struct bench_product *p);

/* Make them there. */
void bench_strassen_sums(struct bench_strassen *s,
                         const struct bench_product *p, double *memory);

/* Add up c when the products are there. */
void bench_strassen_add(const struct bench_strassen *s,
                        const struct bench_product *p);

/* The same with memory of malloc. Make the sums that the seven products are of;
 * false if there is no memory: then c stays wrong. */
bool bench_strassen_split(struct bench_strassen *s,
                          const struct bench_product *p);

/* Add up c when the products are there, and free the memory. */
void bench_strassen_join(struct bench_strassen *s,
                         const struct bench_product *p);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_FORK_MATRIX_H */
