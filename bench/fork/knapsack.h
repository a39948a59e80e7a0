/* SPDX-License-Identifier: MIT */
/*
 * fork/knapsack.h - what to take along, of things that cannot be divided.
 *
 * A branch ends where the rest of the room, filled with the best of what is
 * left as if that could be divided, is worth no more than what is known. That
 * is what a greedy choice is worth, and not the best so far, as in Cilk's: so
 * all systems visit the same nodes, in whatever order.
 */
#ifndef BENCH_FORK_KNAPSACK_H
#define BENCH_FORK_KNAPSACK_H

#include <stdbool.h>

enum {
    BENCH_ITEMS_MAX = 26
};

struct bench_item {
    int weight, value;
};

struct bench_knapsack {
    int n, room;
    int known;                                /* a choice is worth that */
    struct bench_item items[BENCH_ITEMS_MAX]; /* by value for the weight */
};

/* Whether items from i on, with so much room, can make more of value than what
 * is known. */
static inline bool bench_knapsack_hopes(const struct bench_knapsack *k, int i,
                                        int room, int value)
{
    const struct bench_item *best = &k->items[i];

    return value + (double)room * best->value / best->weight > k->known;
}

#endif /* BENCH_FORK_KNAPSACK_H */
