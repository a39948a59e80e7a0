/* SPDX-License-Identifier: MIT */
/*
 * fork/uts.c - the trees T1 and T3L of UTS, and their rows.
 */
#include "fork/uts.h"

#include <math.h>
#include <string.h>

#include "fork/row.h"
#include "workload.h"

/* The most children that a node has, but for a binomial root. */
#define CHILDREN_MAX 100

static void put_number(uint8_t *at, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(number >> (24 - 8 * i));
}

struct bench_uts_node bench_uts_root(const struct bench_uts *tree)
{
    struct bench_uts_node root = { .depth = 0 };
    uint8_t bytes[BENCH_UTS_BYTES] = { 0 };

    put_number(bytes + BENCH_UTS_BYTES - 4, tree->seed);
    bench_uts_hash(bytes, sizeof(bytes), root.bytes);
    return root;
}

struct bench_uts_node bench_uts_child(const struct bench_uts_node *node, int i)
{
    struct bench_uts_node child = { .depth = node->depth + 1 };
    uint8_t bytes[BENCH_UTS_BYTES + 4];

    memcpy(bytes, node->bytes, BENCH_UTS_BYTES);
    put_number(bytes + BENCH_UTS_BYTES, (uint32_t)i);
    bench_uts_hash(bytes, sizeof(bytes), child.bytes);
    return child;
}

/* From 0 on, below 1. */
static double chance(const struct bench_uts_node *node)
{
    const uint8_t *at = node->bytes + BENCH_UTS_BYTES - 4;
    uint32_t number = 0;

    for (int i = 0; i < 4; i++)
        number = number << 8 | at[i];
    return (double)(number & 0x7fffffff) / 2147483648.0;
}

int bench_uts_children(const struct bench_uts *tree,
                       const struct bench_uts_node *node)
{
    if (tree->depth == 0 && node->depth == 0)
        return tree->root;
    if (tree->depth == 0)
        return chance(node) < tree->probability ? tree->many : 0;
    if (node->depth >= (uint32_t)tree->depth)
        return 0;
    double none = 1.0 / (1.0 + tree->root);
    int n = (int)floor(log(1.0 - chance(node)) / log(1.0 - none));
    return n < CHILDREN_MAX ? n : CHILDREN_MAX;
}

/* -- the rows -- */

/* What the tree has as it is defined; smaller ones are counted. */
static const uint64_t t1_nodes = 4130071, t3l_nodes = 111345631;

static struct bench_uts *tree;
static uint64_t result, expected;

static uint64_t count(struct bench_uts_node node)
{
    uint64_t nodes = 1;
    int n = bench_uts_children(tree, &node);

    for (int i = 0; i < n; i++)
        nodes += count(bench_uts_child(&node, i));
    return nodes;
}

static double t1_setup(void)
{
    size_t nodes = bench_scaled(t1_nodes);

    if ((tree = bench_fork_memory_new(sizeof(*tree))) == NULL)
        return 0.0;
    *tree = (struct bench_uts){ .seed = 19, .root = 4, .depth = 10 };
    expected = t1_nodes;
    if (nodes == t1_nodes)
        return (double)expected;
    /* Of a smaller tree each level has about a fourth of the next. */
    for (; nodes * 4 <= t1_nodes && tree->depth > 1; nodes *= 4)
        tree->depth--;
    expected = count(bench_uts_root(tree));
    return (double)expected;
}

static double t3l_setup(void)
{
    size_t nodes = bench_scaled(t3l_nodes);

    if ((tree = bench_fork_memory_new(sizeof(*tree))) == NULL)
        return 0.0;
    *tree = (struct bench_uts){
        .seed = 7, .root = 2000, .many = 5, .probability = 0.200014
    };
    expected = t3l_nodes;
    if (nodes == t3l_nodes)
        return (double)expected;
    /* Nearly all nodes are below few of the root's children; so it has to be
     * the probability, and that says what to expect, not what there is. */
    tree->probability = 0.2 - 0.2 * tree->root / (double)nodes;
    expected = count(bench_uts_root(tree));
    return (double)expected;
}

static int uts_round(const struct bench_fork *system)
{
    return system->uts(tree, &result);
}

static bool uts_is_right(void)
{
    return result == expected;
}

static void uts_teardown(void)
{
    bench_fork_memory_free(tree);
    tree = NULL;
}

const struct bench_fork_row bench_fork_uts_t1 = {
    .name = "fork/uts-t1",
    .counter = "ns",
    .setup = t1_setup,
    .round = uts_round,
    .right = uts_is_right,
    .teardown = uts_teardown,
};

const struct bench_fork_row bench_fork_uts_t3l = {
    .name = "fork/uts-t3l",
    .counter = "ns",
    .setup = t3l_setup,
    .round = uts_round,
    .right = uts_is_right,
    .teardown = uts_teardown,
};
