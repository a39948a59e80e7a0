/* SPDX-License-Identifier: MIT */
/*
 * fork/node.h - a node of the tree that is added up.
 */
#ifndef BENCH_FORK_NODE_H
#define BENCH_FORK_NODE_H

#include <stdint.h>

struct bench_node {
    uint64_t value;
    const struct bench_node *left, *right; /* NULL: nothing is there */
};

#endif /* BENCH_FORK_NODE_H */
