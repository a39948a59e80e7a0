/* SPDX-License-Identifier: MIT */
/*
 * shunt/fork.c - shunt's side of the fork-join rows.
 *
 * Each recursion is a function of SHUNT_FORK and a task that calls it; the
 * loops are shunt_for.
 */
#include "fork/fork.h"

#include <shunt/forkjoin.h>
#include <shunt/shunt.h>

#include "shunt/cases.h"

static shunt_pool *pool;

static int fork_open(int workers)
{
    return shunt_pool_new(&pool,
                          &(shunt_options){ .mode = bench_mode,
                                            .workers = workers,
                                            .stack_bytes = BENCH_STACK });
}

static void fork_close(void)
{
    (void)shunt_pool_free(pool);
}

/* In a process pool the workers see this, and nothing of malloc's. */
static void *fork_memory_new(size_t bytes)
{
    return shunt_pool_alloc(pool, bytes);
}

static void fork_memory_free(void *memory)
{
    (void)shunt_free(memory);
}

/* -- fib -- */

SHUNT_FORK(uint64_t, fib, int, n)
{
    shunt_frame(fib) rest;
    uint64_t sum;

    if (n < 2)
        return (uint64_t)n;
    shunt_spawn(fib, rest, n - 1);
    sum = shunt_call(fib, n - 2);
    return sum + shunt_sync(fib, rest);
}

static int fib_task(const int *n, uint64_t *out)
{
    *out = shunt_fork(fib, *n);
    return 0;
}
SHUNT_TASK(fib_task, int, uint64_t)

static int fork_fib(int n, uint64_t *out)
{
    return shunt_take(shunt_submit(pool, fib_task, &n), out);
}

/* -- tree -- */

typedef const struct bench_node *subtree;

SHUNT_FORK(uint64_t, add_up, subtree, node)
{
    shunt_frame(add_up) right;
    uint64_t sum;

    if (node == NULL)
        return 0;
    shunt_spawn(add_up, right, node->right);
    sum = node->value + shunt_call(add_up, node->left);
    return sum + shunt_sync(add_up, right);
}

static int tree_task(const subtree *root, uint64_t *sum_out)
{
    *sum_out = shunt_fork(add_up, *root);
    return 0;
}
SHUNT_TASK(tree_task, subtree, uint64_t)

static int fork_tree(const struct bench_node *root, uint64_t *sum_out)
{
    return shunt_take(shunt_submit(pool, tree_task, &root), sum_out);
}

/* -- nqueens -- */

SHUNT_FORK(uint64_t, place, struct bench_board, board)
{
    shunt_frame(place) frames[BENCH_QUEENS_MAX];
    struct bench_board next;
    uint64_t solutions = 0;
    int n = 0;

    if (board.rows == board.size)
        return 1;
    for (int column = 0; column < board.size; column++)
        if (bench_board_put(&board, column, &next))
            shunt_spawn(place, frames[n++], next);
    while (n > 0)
        solutions += shunt_sync(place, frames[--n]);
    return solutions;
}

static int nqueens_task(const struct bench_board *board, uint64_t *out)
{
    *out = shunt_fork(place, *board);
    return 0;
}
SHUNT_TASK(nqueens_task, struct bench_board, uint64_t)

static int fork_nqueens(struct bench_board board, uint64_t *out)
{
    return shunt_take(shunt_submit(pool, nqueens_task, &board), out);
}

/* -- skynet -- */

SHUNT_FORK(uint64_t, skynet, uint64_t, first, uint64_t, leaves)
{
    shunt_frame(skynet) children[10];
    uint64_t part = leaves / 10, sum = 0;

    if (leaves == 1)
        return first;
    for (uint64_t i = 0; i < 10; i++)
        shunt_spawn(skynet, children[i], first + i * part, part);
    for (int i = 10; i-- > 0;)
        sum += shunt_sync(skynet, children[i]);
    return sum;
}

static int skynet_task(const uint64_t *leaves, uint64_t *sum_out)
{
    *sum_out = shunt_fork(skynet, 0, *leaves);
    return 0;
}
SHUNT_TASK(skynet_task, uint64_t, uint64_t)

static int fork_skynet(uint64_t leaves, uint64_t *sum_out)
{
    return shunt_take(shunt_submit(pool, skynet_task, &leaves), sum_out);
}

/* -- uts -- */

typedef const struct bench_uts *uts_tree;

SHUNT_FORK(uint64_t, uts, uts_tree, tree, struct bench_uts_node, node)
{
    uint64_t nodes = 1;
    int n = bench_uts_children(tree, &node);

    if (n == 0)
        return nodes;
    shunt_frame(uts) children[n];
    for (int i = 0; i < n; i++)
        shunt_spawn(uts, children[i], tree, bench_uts_child(&node, i));
    while (n > 0)
        nodes += shunt_sync(uts, children[--n]);
    return nodes;
}

static int uts_task(const uts_tree *tree, uint64_t *nodes_out)
{
    *nodes_out = shunt_fork(uts, *tree, bench_uts_root(*tree));
    return 0;
}
SHUNT_TASK(uts_task, uts_tree, uint64_t)

static int fork_uts(const struct bench_uts *tree, uint64_t *nodes_out)
{
    return shunt_take(shunt_submit(pool, uts_task, &tree), nodes_out);
}

/* -- matmul, strassen -- */

SHUNT_FORK_VOID(matmul, struct bench_product, p)
{
    shunt_frame(matmul) parts[4];

    if (p.n <= BENCH_PRODUCT_LEAF) {
        bench_product_leaf(&p);
        return;
    }
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 4; i++)
            shunt_spawn(matmul, parts[i], bench_product_part(&p, i, k));
        for (int i = 4; i-- > 0;)
            shunt_sync(matmul, parts[i]);
    }
}

static int matmul_task(const struct bench_product *p, shunt_none *none)
{
    (void)none;
    shunt_fork(matmul, *p);
    return 0;
}
SHUNT_TASK(matmul_task, struct bench_product, shunt_none)

static int fork_matmul(const struct bench_product *p)
{
    return shunt_join(shunt_submit(pool, matmul_task, p));
}

SHUNT_FORK_VOID(strassen, struct bench_product, p)
{
    shunt_frame(strassen) parts[7];
    struct bench_strassen s;
    double *memory;

    if (p.n <= BENCH_STRASSEN_LEAF) {
        bench_product_leaf(&p);
        return;
    }
    memory = shunt_alloc(bench_strassen_bytes(&p));
    if (memory == NULL)
        return;
    bench_strassen_sums(&s, &p, memory);
    for (int i = 0; i < 7; i++)
        shunt_spawn(strassen, parts[i], s.parts[i]);
    for (int i = 7; i-- > 0;)
        shunt_sync(strassen, parts[i]);
    bench_strassen_add(&s, &p);
    (void)shunt_free(memory);
}

static int strassen_task(const struct bench_product *p, shunt_none *none)
{
    (void)none;
    shunt_fork(strassen, *p);
    return 0;
}
SHUNT_TASK(strassen_task, struct bench_product, shunt_none)

static int fork_strassen(const struct bench_product *p)
{
    return shunt_join(shunt_submit(pool, strassen_task, p));
}

/* -- sort -- */

SHUNT_FORK_VOID(merge, struct bench_merge, m)
{
    shunt_frame(merge) rest;
    struct bench_merge low, high;

    if (m.a_n + m.b_n <= BENCH_SORT_LEAF) {
        bench_merge_leaf(&m);
        return;
    }
    bench_merge_split(&m, &low, &high);
    shunt_spawn(merge, rest, low);
    shunt_call(merge, high);
    shunt_sync(merge, rest);
}

SHUNT_FORK_VOID(sort, struct bench_sort, s)
{
    shunt_frame(sort) quarters[4];
    shunt_frame(merge) pairs[2];

    if (s.n <= BENCH_SORT_LEAF) {
        bench_sort_leaf(&s);
        return;
    }
    for (int i = 0; i < 4; i++)
        shunt_spawn(sort, quarters[i], bench_sort_quarter(&s, i));
    for (int i = 4; i-- > 0;)
        shunt_sync(sort, quarters[i]);
    for (int i = 0; i < 2; i++)
        shunt_spawn(merge, pairs[i], bench_sort_pair(&s, i));
    for (int i = 2; i-- > 0;)
        shunt_sync(merge, pairs[i]);
    shunt_call(merge, bench_sort_pairs(&s));
}

static int sort_task(const struct bench_sort *s, shunt_none *none)
{
    (void)none;
    shunt_fork(sort, *s);
    return 0;
}
SHUNT_TASK(sort_task, struct bench_sort, shunt_none)

static int fork_sort(const struct bench_sort *s)
{
    return shunt_join(shunt_submit(pool, sort_task, s));
}

/* -- knapsack -- */

typedef const struct bench_knapsack *sack;

SHUNT_FORK(int, most, sack, k, int, i, int, room, int, value)
{
    shunt_frame(most) taken;
    int with, without;

    if (room < 0)
        return 0;
    if (i == k->n)
        return value;
    if (!bench_knapsack_hopes(k, i, room, value))
        return 0;
    shunt_spawn(most, taken, k, i + 1, room - k->items[i].weight,
                value + k->items[i].value);
    without = shunt_call(most, k, i + 1, room, value);
    with = shunt_sync(most, taken);
    return with > without ? with : without;
}

static int knapsack_task(const sack *k, int *value_out)
{
    *value_out = shunt_fork(most, *k, 0, (*k)->room, 0);
    return 0;
}
SHUNT_TASK(knapsack_task, sack, int)

static int fork_knapsack(const struct bench_knapsack *k, int *value_out)
{
    return shunt_take(shunt_submit(pool, knapsack_task, &k), value_out);
}

/* -- loops -- */

static int short_body(size_t from, size_t to, const struct bench_loop *loop)
{
    for (size_t i = from; i < to; i++)
        loop->out[i] = bench_loop_short(i);
    return 0;
}

static int loop_short(const struct bench_loop *loop)
{
    return shunt_join(shunt_for(pool, 0, loop->n, short_body, loop));
}

static int uneven_body(size_t from, size_t to, const struct bench_loop *loop)
{
    for (size_t i = from; i < to; i++)
        loop->out[i] = bench_loop_uneven(i);
    return 0;
}

static int loop_uneven(const struct bench_loop *loop)
{
    return shunt_join(shunt_for(pool, 0, loop->n, uneven_body, loop));
}

const struct bench_fork bench_fork_shunt = {
    .open = fork_open,
    .close = fork_close,
    .memory_new = fork_memory_new,
    .memory_free = fork_memory_free,
    .fib = fork_fib,
    .tree = fork_tree,
    .nqueens = fork_nqueens,
    .skynet = fork_skynet,
    .uts = fork_uts,
    .matmul = fork_matmul,
    .strassen = fork_strassen,
    .sort = fork_sort,
    .knapsack = fork_knapsack,
    .loop_short = loop_short,
    .loop_uneven = loop_uneven,
};

shunt_pool *bench_fork_pool(void)
{
    return pool;
}

void bench_forks_register(void)
{
    bench_fork_register(&bench_fork_shunt);
}
