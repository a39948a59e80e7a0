/* SPDX-License-Identifier: MIT */
/*
 * fork/row.h - what a fork-join workload is, to the code that measures it.
 */
#ifndef BENCH_FORK_ROW_H
#define BENCH_FORK_ROW_H

#include <stdbool.h>

#include "fork/fork.h"

struct bench_fork_row {
    const char *name;    /* NAME/1w */
    const char *counter; /* its unit: ns, ms */
    /* Make the input, by bench_fork_memory_new, when the system is open; of how
     * many units is the time of one round? 0: there is no memory for it. */
    double (*setup)(void);
    /* Before each round, and not measured; may be NULL. */
    void (*renew)(void);
    /* What is measured. */
    int (*round)(const struct bench_fork *system);
    /* Whether the result of that round is right. */
    bool (*right)(void);
    /* Free the input, made or not; may be NULL. */
    void (*teardown)(void);
};

/* Zeroed memory that the workers of the system see, and whose pages are
 * present. */
void *bench_fork_memory_new(size_t bytes);
void bench_fork_memory_free(void *memory);

/* recursion.c */
extern const struct bench_fork_row bench_fork_fib, bench_fork_tree,
    bench_fork_nqueens, bench_fork_skynet;
/* uts.c */
extern const struct bench_fork_row bench_fork_uts_t1, bench_fork_uts_t3l;
/* matrix.c */
extern const struct bench_fork_row bench_fork_matmul, bench_fork_strassen;
/* loop.c */
extern const struct bench_fork_row bench_fork_loop_short,
    bench_fork_loop_uneven;
/* sort.c, knapsack.c */
extern const struct bench_fork_row bench_fork_sort, bench_fork_knapsack;

#endif /* BENCH_FORK_ROW_H */
