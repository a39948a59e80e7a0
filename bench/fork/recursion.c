/* SPDX-License-Identifier: MIT */
/*
 * fork/recursion.c - fib, tree, nqueens, skynet: little but calls.
 */
#include <stdlib.h>

#include "fork/row.h"
#include "measure.h"
#include "workload.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of the round that was run last. */
static uint64_t result;

/* -- fib -- */

enum {
    FIB_FORKS = 63245985 /* of fib(38): fib(39) - 1 */
};

static int fib_n;
static uint64_t fib_right;

static double fib_setup(void)
{
    uint64_t next = 1; /* fib(fib_n + 1) */

    fib_n = 1;
    fib_right = 1;
    while (fib_right + next <= bench_scaled(FIB_FORKS) + 1) {
        uint64_t sum = fib_right + next;
        fib_right = next;
        next = sum;
        fib_n++;
    }
    return (double)(next - 1);
}

static int fib_round(const struct bench_fork *system)
{
    return system->fib(fib_n, &result);
}

static bool fib_is_right(void)
{
    return result == fib_right;
}

const struct bench_fork_row bench_fork_fib = {
    .name = "fork/fib",
    .counter = "ns",
    .setup = fib_setup,
    .round = fib_round,
    .right = fib_is_right,
};

/* -- tree -- */

enum {
    TREE_NODES = 20000000
};

static struct bench_node *nodes;
static uint64_t nodes_n;

/* A balanced tree of the n nodes from at on, each before what is below it. */
static const struct bench_node *grow(struct bench_node *at, uint64_t n)
{
    uint64_t left = n / 2;

    if (n == 0)
        return NULL;
    at->value = (uint64_t)(at - nodes);
    at->left = grow(at + 1, left);
    at->right = grow(at + 1 + left, n - 1 - left);
    return at;
}

static double tree_setup(void)
{
    nodes_n = bench_scaled(TREE_NODES);
    nodes = bench_fork_memory_new(nodes_n * sizeof(*nodes));
    if (nodes == NULL)
        return 0.0;
    grow(nodes, nodes_n);
    return (double)nodes_n;
}

static int tree_round(const struct bench_fork *system)
{
    return system->tree(nodes, &result);
}

static bool tree_is_right(void)
{
    return result == nodes_n * (nodes_n - 1) / 2;
}

static void tree_teardown(void)
{
    bench_fork_memory_free(nodes);
    nodes = NULL;
}

const struct bench_fork_row bench_fork_tree = {
    .name = "fork/tree",
    .counter = "ns",
    .setup = tree_setup,
    .round = tree_round,
    .right = tree_is_right,
    .teardown = tree_teardown,
};

/* -- nqueens -- */

/* How many solutions there are, and how many queens are put on the way. */
static const struct {
    int size;
    uint64_t solutions, puts;
} queens[] = {
    { 6, 4, 152 },         { 7, 40, 551 },     { 8, 92, 2056 },
    { 9, 352, 8393 },      { 10, 724, 35538 }, { 11, 2680, 166925 },
    { 12, 14200, 856188 },
};

static size_t queens_case;

static double nqueens_setup(void)
{
    queens_case = 0;
    while (queens_case + 1 < COUNT(queens) &&
           queens[queens_case + 1].puts <=
               bench_scaled(queens[COUNT(queens) - 1].puts))
        queens_case++;
    return (double)queens[queens_case].puts;
}

static int nqueens_round(const struct bench_fork *system)
{
    struct bench_board empty = { .size = (int8_t)queens[queens_case].size };

    return system->nqueens(empty, &result);
}

static bool nqueens_is_right(void)
{
    return result == queens[queens_case].solutions;
}

const struct bench_fork_row bench_fork_nqueens = {
    .name = "fork/nqueens",
    .counter = "ns",
    .setup = nqueens_setup,
    .round = nqueens_round,
    .right = nqueens_is_right,
};

/* -- skynet -- */

static uint64_t leaves;

static double skynet_setup(void)
{
    uint64_t tasks = 11;

    for (leaves = 10; leaves * 10 <= bench_scaled(1000000); tasks += leaves)
        leaves *= 10;
    return (double)tasks;
}

static int skynet_round(const struct bench_fork *system)
{
    return system->skynet(leaves, &result);
}

static bool skynet_is_right(void)
{
    return result == leaves * (leaves - 1) / 2;
}

const struct bench_fork_row bench_fork_skynet = {
    .name = "fork/skynet",
    .counter = "ns",
    .setup = skynet_setup,
    .round = skynet_round,
    .right = skynet_is_right,
};
