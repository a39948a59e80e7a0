/* SPDX-License-Identifier: MIT */
/*
 * peers/openmp.c - the fork-join rows on OpenMP's tasks.
 *
 * Built by gcc with libgomp and by clang with libomp. The calling thread is
 * one of the workers, and begins.
 */
#include <omp.h>
#include <stddef.h>

#include "fork/fork.h"

static int threads;

/* Run what follows on one of the threads; what it forks runs on all. */
#define ON_WORKERS \
    _Pragma("omp parallel num_threads(threads)") _Pragma("omp single")

static int peer_open(int workers)
{
    omp_set_dynamic(0);
    threads = workers;
    return 0;
}

static void peer_close(void)
{
}

static uint64_t fib(int n)
{
    uint64_t left, right;

    if (n < 2)
        return (uint64_t)n;
#pragma omp task shared(left)
    left = fib(n - 1);
    right = fib(n - 2);
#pragma omp taskwait
    return left + right;
}

static int peer_fib(int n, uint64_t *out)
{
    ON_WORKERS
    *out = fib(n);
    return 0;
}

static uint64_t add_up(const struct bench_node *node)
{
    uint64_t left, right;

    if (node == NULL)
        return 0;
#pragma omp task shared(right)
    right = add_up(node->right);
    left = add_up(node->left);
#pragma omp taskwait
    return node->value + left + right;
}

static int peer_tree(const struct bench_node *root, uint64_t *sum_out)
{
    ON_WORKERS
    *sum_out = add_up(root);
    return 0;
}

static uint64_t place(struct bench_board board)
{
    uint64_t parts[BENCH_QUEENS_MAX], solutions = 0;
    struct bench_board next;
    int n = 0;

    if (board.rows == board.size)
        return 1;
    for (int column = 0; column < board.size; column++)
        if (bench_board_put(&board, column, &next)) {
#pragma omp task shared(parts) firstprivate(n, next)
            parts[n] = place(next);
            n++;
        }
#pragma omp taskwait
    while (n > 0)
        solutions += parts[--n];
    return solutions;
}

static int peer_nqueens(struct bench_board board, uint64_t *out)
{
    ON_WORKERS
    *out = place(board);
    return 0;
}

static uint64_t skynet(uint64_t first, uint64_t leaves)
{
    uint64_t parts[10], part = leaves / 10, sum = 0;

    if (leaves == 1)
        return first;
    for (uint64_t i = 0; i < 10; i++) {
#pragma omp task shared(parts) firstprivate(i)
        parts[i] = skynet(first + i * part, part);
    }
#pragma omp taskwait
    for (int i = 0; i < 10; i++)
        sum += parts[i];
    return sum;
}

static int peer_skynet(uint64_t leaves, uint64_t *sum_out)
{
    ON_WORKERS
    *sum_out = skynet(0, leaves);
    return 0;
}

static uint64_t uts(const struct bench_uts *tree, struct bench_uts_node node)
{
    uint64_t nodes = 1;
    int n = bench_uts_children(tree, &node);

    if (n == 0)
        return nodes;
    uint64_t parts[n];
    for (int i = 0; i < n; i++) {
        struct bench_uts_node child = bench_uts_child(&node, i);
#pragma omp task shared(parts) firstprivate(i, child)
        parts[i] = uts(tree, child);
    }
#pragma omp taskwait
    while (n > 0)
        nodes += parts[--n];
    return nodes;
}

static int peer_uts(const struct bench_uts *tree, uint64_t *nodes_out)
{
    ON_WORKERS
    *nodes_out = uts(tree, bench_uts_root(tree));
    return 0;
}

static void matmul(struct bench_product p)
{
    if (p.n <= BENCH_PRODUCT_LEAF) {
        bench_product_leaf(&p);
        return;
    }
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 4; i++) {
#pragma omp task firstprivate(i, k) shared(p)
            matmul(bench_product_part(&p, i, k));
        }
#pragma omp taskwait
    }
}

static int peer_matmul(const struct bench_product *p)
{
    ON_WORKERS
    matmul(*p);
    return 0;
}

static void strassen(struct bench_product p)
{
    struct bench_strassen s;

    if (p.n <= BENCH_STRASSEN_LEAF) {
        bench_product_leaf(&p);
        return;
    }
    if (!bench_strassen_split(&s, &p))
        return;
    for (int i = 0; i < 7; i++) {
#pragma omp task firstprivate(i) shared(s)
        strassen(s.parts[i]);
    }
#pragma omp taskwait
    bench_strassen_join(&s, &p);
}

static int peer_strassen(const struct bench_product *p)
{
    ON_WORKERS
    strassen(*p);
    return 0;
}

static void merge(struct bench_merge m)
{
    struct bench_merge low, high;

    if (m.a_n + m.b_n <= BENCH_SORT_LEAF) {
        bench_merge_leaf(&m);
        return;
    }
    bench_merge_split(&m, &low, &high);
#pragma omp task
    merge(low);
    merge(high);
#pragma omp taskwait
}

static void sort(struct bench_sort s)
{
    if (s.n <= BENCH_SORT_LEAF) {
        bench_sort_leaf(&s);
        return;
    }
    for (int i = 0; i < 4; i++) {
#pragma omp task firstprivate(i) shared(s)
        sort(bench_sort_quarter(&s, i));
    }
#pragma omp taskwait
    for (int i = 0; i < 2; i++) {
#pragma omp task firstprivate(i) shared(s)
        merge(bench_sort_pair(&s, i));
    }
#pragma omp taskwait
    merge(bench_sort_pairs(&s));
}

static int peer_sort(const struct bench_sort *s)
{
    ON_WORKERS
    sort(*s);
    return 0;
}

static int most(const struct bench_knapsack *k, int i, int room, int value)
{
    int with, without;

    if (room < 0)
        return 0;
    if (i == k->n)
        return value;
    if (!bench_knapsack_hopes(k, i, room, value))
        return 0;
#pragma omp task shared(with)
    with = most(k, i + 1, room - k->items[i].weight, value + k->items[i].value);
    without = most(k, i + 1, room, value);
#pragma omp taskwait
    return with > without ? with : without;
}

static int peer_knapsack(const struct bench_knapsack *k, int *value_out)
{
    ON_WORKERS
    *value_out = most(k, 0, k->room, 0);
    return 0;
}

static int peer_loop_short(const struct bench_loop *loop)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < loop->n; i++)
        loop->out[i] = bench_loop_short(i);
    return 0;
}

static int peer_loop_uneven(const struct bench_loop *loop)
{
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (size_t i = 0; i < loop->n; i++)
        loop->out[i] = bench_loop_uneven(i);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct bench_fork peer = {
        .open = peer_open,
        .close = peer_close,
        .fib = peer_fib,
        .tree = peer_tree,
        .nqueens = peer_nqueens,
        .skynet = peer_skynet,
        .uts = peer_uts,
        .matmul = peer_matmul,
        .strassen = peer_strassen,
        .sort = peer_sort,
        .knapsack = peer_knapsack,
        .loop_short = peer_loop_short,
        .loop_uneven = peer_loop_uneven,
    };

    return bench_fork_main(argc, argv, &peer);
}
