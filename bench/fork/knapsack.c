/* SPDX-License-Identifier: MIT */
/*
 * fork/knapsack.c - the row of the knapsack->
 */
#include "fork/knapsack.h"

#include <stdlib.h>
#include <string.h>

#include "fork/row.h"
#include "workload.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    WEIGHT_LEAST = 100,
    WEIGHTS = 1000,
    VALUE_MORE = 100, /* than the weight: then no item is much better */
    ROOM_MAX = BENCH_ITEMS_MAX * (WEIGHT_LEAST + WEIGHTS) / 2
};

/* How many items, and how many nodes that makes. */
static const struct {
    int items, nodes;
} sizes[] = {
    { 17, 197005 },
    { 20, 1457959 },
    { 23, 9504113 },
    { 26, 48477231 },
};

static struct bench_knapsack *knapsack;
static int result, best;

static int by_worth(const void *left, const void *right)
{
    const struct bench_item *a = left, *b = right;
    int first = a->value * b->weight, second = b->value * a->weight;

    return (second > first) - (second < first);
}

/* The best choice, by what is best for every room up to that there is. */
static int best_of(const struct bench_knapsack *k)
{
    static int bests[ROOM_MAX + 1];

    memset(bests, 0, sizeof(bests));
    for (int i = 0; i < k->n; i++) {
        struct bench_item item = k->items[i];

        for (int room = k->room; room >= item.weight; room--) {
            int with = bests[room - item.weight] + item.value;
            if (with > bests[room])
                bests[room] = with;
        }
    }
    return bests[k->room];
}

static void greedy(struct bench_knapsack *k)
{
    int left = k->room;

    k->known = 0;
    for (int i = 0; i < k->n; i++)
        if (k->items[i].weight <= left) {
            left -= k->items[i].weight;
            k->known += k->items[i].value;
        }
}

static double knapsack_setup(void)
{
    size_t last = COUNT(sizes) - 1, size = last;
    uint32_t random = 1;
    int weights = 0;

    knapsack = bench_fork_memory_new(sizeof(*knapsack));
    if (knapsack == NULL)
        return 0.0;
    while (size > 0 &&
           (size_t)sizes[size].nodes > bench_scaled((size_t)sizes[last].nodes))
        size--;
    knapsack->n = sizes[size].items;
    for (int i = 0; i < knapsack->n; i++) {
        random = random * 1664525 + 1013904223;
        int weight = WEIGHT_LEAST + (int)(random >> 16) % WEIGHTS;
        knapsack->items[i] = (struct bench_item){ weight, weight + VALUE_MORE };
        weights += weight;
    }
    qsort(knapsack->items, (size_t)knapsack->n, sizeof(knapsack->items[0]),
          by_worth);
    knapsack->room = weights / 2;
    greedy(knapsack);
    best = best_of(knapsack);
    return sizes[size].nodes;
}

static int knapsack_round(const struct bench_fork *system)
{
    return system->knapsack(knapsack, &result);
}

static bool knapsack_is_right(void)
{
    return (result > knapsack->known ? result : knapsack->known) == best;
}

static void knapsack_teardown(void)
{
    bench_fork_memory_free(knapsack);
    knapsack = NULL;
}

const struct bench_fork_row bench_fork_knapsack = {
    .name = "fork/knapsack",
    .counter = "ns",
    .setup = knapsack_setup,
    .round = knapsack_round,
    .right = knapsack_is_right,
    .teardown = knapsack_teardown,
};
