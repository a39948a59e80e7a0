/* SPDX-License-Identifier: MIT */
/*
 * peers/serial.c - the fork-join rows without forks: plain recursion, on the
 * calling thread, however many workers the row has.
 *
 * The compiler may not inline a recursion into itself, as no system lets it
 * across a fork; it may turn a call into a loop.
 */
#include <stddef.h>

#include "fork/fork.h"

#define RECURSION static __attribute__((noinline))

static int serial_open(int workers)
{
    (void)workers;
    return 0;
}

static void serial_close(void)
{
}

RECURSION uint64_t fib(int n)
{
    return n < 2 ? (uint64_t)n : fib(n - 1) + fib(n - 2);
}

static int serial_fib(int n, uint64_t *out)
{
    *out = fib(n);
    return 0;
}

RECURSION uint64_t add_up(const struct bench_node *node)
{
    if (node == NULL)
        return 0;
    return node->value + add_up(node->left) + add_up(node->right);
}

static int serial_tree(const struct bench_node *root, uint64_t *sum_out)
{
    *sum_out = add_up(root);
    return 0;
}

RECURSION uint64_t place(struct bench_board board)
{
    struct bench_board next;
    uint64_t solutions = 0;

    if (board.rows == board.size)
        return 1;
    for (int column = 0; column < board.size; column++)
        if (bench_board_put(&board, column, &next))
            solutions += place(next);
    return solutions;
}

static int serial_nqueens(struct bench_board board, uint64_t *out)
{
    *out = place(board);
    return 0;
}

RECURSION uint64_t skynet(uint64_t first, uint64_t leaves)
{
    uint64_t part = leaves / 10, sum = 0;

    if (leaves == 1)
        return first;
    for (uint64_t i = 0; i < 10; i++)
        sum += skynet(first + i * part, part);
    return sum;
}

static int serial_skynet(uint64_t leaves, uint64_t *sum_out)
{
    *sum_out = skynet(0, leaves);
    return 0;
}

RECURSION uint64_t uts(const struct bench_uts *tree, struct bench_uts_node node)
{
    uint64_t nodes = 1;
    int n = bench_uts_children(tree, &node);

    for (int i = 0; i < n; i++)
        nodes += uts(tree, bench_uts_child(&node, i));
    return nodes;
}

static int serial_uts(const struct bench_uts *tree, uint64_t *nodes_out)
{
    *nodes_out = uts(tree, bench_uts_root(tree));
    return 0;
}

RECURSION void matmul(struct bench_product p)
{
    if (p.n <= BENCH_PRODUCT_LEAF) {
        bench_product_leaf(&p);
        return;
    }
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 4; i++)
            matmul(bench_product_part(&p, i, k));
}

static int serial_matmul(const struct bench_product *p)
{
    matmul(*p);
    return 0;
}

RECURSION void strassen(struct bench_product p)
{
    struct bench_strassen s;

    if (p.n <= BENCH_STRASSEN_LEAF) {
        bench_product_leaf(&p);
        return;
    }
    if (!bench_strassen_split(&s, &p))
        return;
    for (int i = 0; i < 7; i++)
        strassen(s.parts[i]);
    bench_strassen_join(&s, &p);
}

static int serial_strassen(const struct bench_product *p)
{
    strassen(*p);
    return 0;
}

RECURSION void merge(struct bench_merge m)
{
    struct bench_merge low, high;

    if (m.a_n + m.b_n <= BENCH_SORT_LEAF) {
        bench_merge_leaf(&m);
        return;
    }
    bench_merge_split(&m, &low, &high);
    merge(low);
    merge(high);
}

RECURSION void sort(struct bench_sort s)
{
    if (s.n <= BENCH_SORT_LEAF) {
        bench_sort_leaf(&s);
        return;
    }
    for (int i = 0; i < 4; i++)
        sort(bench_sort_quarter(&s, i));
    merge(bench_sort_pair(&s, 0));
    merge(bench_sort_pair(&s, 1));
    merge(bench_sort_pairs(&s));
}

static int serial_sort(const struct bench_sort *s)
{
    sort(*s);
    return 0;
}

RECURSION int most(const struct bench_knapsack *k, int i, int room, int value)
{
    int with, without;

    if (room < 0)
        return 0;
    if (i == k->n)
        return value;
    if (!bench_knapsack_hopes(k, i, room, value))
        return 0;
    with = most(k, i + 1, room - k->items[i].weight, value + k->items[i].value);
    without = most(k, i + 1, room, value);
    return with > without ? with : without;
}

static int serial_knapsack(const struct bench_knapsack *k, int *value_out)
{
    *value_out = most(k, 0, k->room, 0);
    return 0;
}

static int serial_loop_short(const struct bench_loop *loop)
{
    for (size_t i = 0; i < loop->n; i++)
        loop->out[i] = bench_loop_short(i);
    return 0;
}

static int serial_loop_uneven(const struct bench_loop *loop)
{
    for (size_t i = 0; i < loop->n; i++)
        loop->out[i] = bench_loop_uneven(i);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct bench_fork serial = {
        .open = serial_open,
        .close = serial_close,
        .fib = serial_fib,
        .tree = serial_tree,
        .nqueens = serial_nqueens,
        .skynet = serial_skynet,
        .uts = serial_uts,
        .matmul = serial_matmul,
        .strassen = serial_strassen,
        .sort = serial_sort,
        .knapsack = serial_knapsack,
        .loop_short = serial_loop_short,
        .loop_uneven = serial_loop_uneven,
    };

    return bench_fork_main(argc, argv, &serial);
}
