/* SPDX-License-Identifier: MIT */
/*
 * peers/rayon/main.c - the fork-join rows on Rayon, of Rust: the program.
 */
#include "fork/fork.h"

/* forks.rs */
int rayon_open(int workers);
void rayon_close(void);
int rayon_fib(int n, uint64_t *out);
int rayon_tree(const struct bench_node *root, uint64_t *sum_out);
int rayon_nqueens(struct bench_board board, uint64_t *out);
int rayon_skynet(uint64_t leaves, uint64_t *sum_out);
int rayon_uts(const struct bench_uts *tree, uint64_t *nodes_out);
int rayon_matmul(const struct bench_product *p);
int rayon_strassen(const struct bench_product *p);
int rayon_sort(const struct bench_sort *s);
int rayon_loop_short(const struct bench_loop *loop);
int rayon_loop_uneven(const struct bench_loop *loop);
int rayon_knapsack(const struct bench_knapsack *k, int *value_out);

int main(int argc, char **argv)
{
    static const struct bench_fork peer = {
        .open = rayon_open,
        .close = rayon_close,
        .fib = rayon_fib,
        .tree = rayon_tree,
        .nqueens = rayon_nqueens,
        .skynet = rayon_skynet,
        .uts = rayon_uts,
        .matmul = rayon_matmul,
        .strassen = rayon_strassen,
        .sort = rayon_sort,
        .knapsack = rayon_knapsack,
        .loop_short = rayon_loop_short,
        .loop_uneven = rayon_loop_uneven,
    };

    return bench_fork_main(argc, argv, &peer);
}
