/* SPDX-License-Identifier: MIT */
/*
 * fork/sort.h - cilksort: a merge sort of which the merges fork, too.
 *
 *     sort     the four quarters | merge two and two of them | merge these
 *     merge    cut at the middle of the longer one | merge what is below and
 *              what is not
 *
 * What stands left and right of a bar waits for each other, nothing else does.
 */
#ifndef BENCH_FORK_SORT_H
#define BENCH_FORK_SORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* So many numbers, or fewer, are sorted or merged without a fork. */
#define BENCH_SORT_LEAF 2048

struct bench_sort {
    int32_t *values, *space; /* the result is in values */
    size_t n;
};

struct bench_merge {
    const int32_t *a, *b; /* both sorted */
    size_t a_n, b_n;
    int32_t *out;
};

void bench_sort_leaf(const struct bench_sort *s);
struct bench_sort bench_sort_quarter(const struct bench_sort *s, int i);

/* Quarters 0 and 1, or 2 and 3, into space. */
struct bench_merge bench_sort_pair(const struct bench_sort *s, int i);

/* Both pairs, into values. */
struct bench_merge bench_sort_pairs(const struct bench_sort *s);

void bench_merge_leaf(const struct bench_merge *m);
void bench_merge_split(const struct bench_merge *m, struct bench_merge *low,
                       struct bench_merge *high);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_FORK_SORT_H */
