/* SPDX-License-Identifier: MIT */
/*
 * fork/fork.h - recursive programs that fork and join, measured by one code.
 *
 * A system (shunt, and every peer) fills in a struct bench_fork with the same
 * recursions, written in its own way, and gets the rows whose functions it has:
 *
 *     fork/fib/{1,2}w       fib        fib(38)
 *     fork/tree/{1,2}w      tree       the sum over 20,000,000 nodes
 *     fork/nqueens/{1,2}w   nqueens    12 queens, all solutions
 *     fork/skynet/{1,2}w    skynet     ten children each, 1,000,000 leaves
 *     fork/uts-t1/{1,2}w    uts        a tree of 4,130,071 nodes
 *     fork/uts-t3l/{1,2}w   uts        a tree of 111,345,631 nodes
 *     fork/matmul/{1,2}w    matmul     1,024 by 1,024, double
 *     fork/strassen/{1,2}w  strassen   the same product
 *     fork/cilksort/{1,2}w  sort       10,000,000 int32_t
 *     fork/knapsack/{1,2}w  knapsack   26 items
 *     loop/short/{1,2}w     loop_short    1,000,000 indexes
 *     loop/uneven/{1,2}w    loop_uneven   20,000 indexes
 *
 * What is not recursion is here, and is one code for all: inputs, the leaves'
 * work, checks. So are cut-offs: in products and the sort, whose leaves are
 * blocks. In the other rows there are none, each call forks down to the trivial
 * one.
 */
#ifndef BENCH_FORK_H
#define BENCH_FORK_H

#include <stddef.h>
#include <stdint.h>

#include "fork/board.h"
#include "fork/knapsack.h"
#include "fork/loop.h"
#include "fork/matrix.h"
#include "fork/node.h"
#include "fork/sort.h"
#include "fork/uts.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A worker's stack. */
#define BENCH_STACK ((size_t)256 << 20)

/* All int functions return 0, or -1 if the system failed. */
struct bench_fork {
    /* Start so many workers; the thread that calls may be one of them. */
    int (*open)(int workers);
    void (*close)(void);
    /* Memory that all workers see; both NULL: that of malloc. */
    void *(*memory_new)(size_t bytes);
    void (*memory_free)(void *memory);
    /* fib(0) = 0, fib(1) = 1; one of two calls is forked. */
    int (*fib)(int n, uint64_t *out);
    /* The sum of the values; each node forks for its right side, be there
     * something or not. Left first, as the nodes lie in memory. */
    int (*tree)(const struct bench_node *root, uint64_t *sum_out);
    /* How often the board can be filled; a fork for each queen that can be put
     * into the next row. */
    int (*nqueens)(struct bench_board board, uint64_t *out);
    /* Ten children with a tenth of the leaves each, until one is left. The sum
     * of the leaves' numbers, which count from 0. */
    int (*skynet)(uint64_t leaves, uint64_t *sum_out);
    /* How many nodes the tree has; a fork for each child. */
    int (*uts)(const struct bench_uts *tree, uint64_t *nodes_out);
    /* matrix.h, sort.h: a fork for each part that may run beside others. */
    int (*matmul)(const struct bench_product *p);
    int (*strassen)(const struct bench_product *p);
    int (*sort)(const struct bench_sort *s);
    /* The most that items are worth for which there is room, if that is more
     * than what is known; a fork for taking each along. */
    int (*knapsack)(const struct bench_knapsack *k, int *value_out);
    /* loop.h: each out[i], by whatever loop the system has for such bodies. */
    int (*loop_short)(const struct bench_loop *loop);
    int (*loop_uneven)(const struct bench_loop *loop);
};

/* Register the rows of system, which is lent; from within bench_main. */
void bench_fork_register(const struct bench_fork *system);

/* main of a program that has no other rows. */
int bench_fork_main(int argc, char **argv, const struct bench_fork *system);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_FORK_H */
