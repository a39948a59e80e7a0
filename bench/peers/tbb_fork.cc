// SPDX-License-Identifier: MIT
/*
 * peers/tbb_fork.cc - the fork-join rows on oneTBB's task_group.
 *
 * The calling thread is one of the row's workers.
 */
#include "peers/tbb_fork.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <memory>
#include <vector>

#include "fork/fork.h"

namespace
{

struct pool {
    tbb::global_control limit, stacks;
    tbb::task_arena arena;

    explicit pool(int workers)
        : limit(tbb::global_control::max_allowed_parallelism,
                static_cast<size_t>(workers)),
          stacks(tbb::global_control::thread_stack_size, BENCH_STACK),
          arena(workers, 1)
    {
    }
};

std::unique_ptr<pool> fork_pool;

int peer_open(int workers)
{
    fork_pool = std::make_unique<pool>(workers);
    return 0;
}

void peer_close()
{
    fork_pool.reset();
}

uint64_t fib(int n)
{
    uint64_t left, right;

    if (n < 2)
        return static_cast<uint64_t>(n);
    tbb::task_group group;
    group.run([&left, n] { left = fib(n - 1); });
    right = fib(n - 2);
    group.wait();
    return left + right;
}

int peer_fib(int n, uint64_t *out)
{
    fork_pool->arena.execute([=] { *out = fib(n); });
    return 0;
}

uint64_t add_up(const bench_node *node)
{
    uint64_t left, right;

    if (node == nullptr)
        return 0;
    tbb::task_group group;
    group.run([&right, node] { right = add_up(node->right); });
    left = add_up(node->left);
    group.wait();
    return node->value + left + right;
}

int peer_tree(const bench_node *root, uint64_t *sum_out)
{
    fork_pool->arena.execute([=] { *sum_out = add_up(root); });
    return 0;
}

uint64_t place(bench_board board)
{
    uint64_t parts[BENCH_QUEENS_MAX], solutions = 0;
    bench_board next;
    int n = 0;

    if (board.rows == board.size)
        return 1;
    tbb::task_group group;
    for (int column = 0; column < board.size; column++)
        if (bench_board_put(&board, column, &next)) {
            uint64_t &part = parts[n++];
            group.run([&part, next] { part = place(next); });
        }
    group.wait();
    while (n > 0)
        solutions += parts[--n];
    return solutions;
}

int peer_nqueens(bench_board board, uint64_t *out)
{
    fork_pool->arena.execute([=] { *out = place(board); });
    return 0;
}

uint64_t skynet(uint64_t first, uint64_t leaves)
{
    uint64_t parts[10], sum = 0;

    if (leaves == 1)
        return first;
    tbb::task_group group;
    for (uint64_t i = 0; i < 10; i++)
        group.run([&parts, i, first, leaves] {
            parts[i] = skynet(first + i * (leaves / 10), leaves / 10);
        });
    group.wait();
    for (uint64_t part : parts)
        sum += part;
    return sum;
}

int peer_skynet(uint64_t leaves, uint64_t *sum_out)
{
    fork_pool->arena.execute([=] { *sum_out = skynet(0, leaves); });
    return 0;
}

uint64_t uts(const bench_uts *tree, bench_uts_node node)
{
    uint64_t nodes = 1;
    int n = bench_uts_children(tree, &node);

    if (n == 0)
        return nodes;
    std::vector<uint64_t> parts(static_cast<size_t>(n));
    tbb::task_group group;
    for (int i = 0; i < n; i++) {
        uint64_t &part = parts[static_cast<size_t>(i)];
        bench_uts_node child = bench_uts_child(&node, i);
        group.run([&part, tree, child] { part = uts(tree, child); });
    }
    group.wait();
    for (uint64_t part : parts)
        nodes += part;
    return nodes;
}

int peer_uts(const bench_uts *tree, uint64_t *nodes_out)
{
    fork_pool->arena.execute(
        [=] { *nodes_out = uts(tree, bench_uts_root(tree)); });
    return 0;
}

void matmul(bench_product p)
{
    if (p.n <= BENCH_PRODUCT_LEAF) {
        bench_product_leaf(&p);
        return;
    }
    for (int k = 0; k < 2; k++) {
        tbb::task_group group;
        for (int i = 0; i < 4; i++)
            group.run([&p, i, k] { matmul(bench_product_part(&p, i, k)); });
        group.wait();
    }
}

int peer_matmul(const bench_product *p)
{
    fork_pool->arena.execute([=] { matmul(*p); });
    return 0;
}

void strassen(bench_product p)
{
    bench_strassen s;

    if (p.n <= BENCH_STRASSEN_LEAF) {
        bench_product_leaf(&p);
        return;
    }
    if (!bench_strassen_split(&s, &p))
        return;
    tbb::task_group group;
    for (bench_product &part : s.parts)
        group.run([&part] { strassen(part); });
    group.wait();
    bench_strassen_join(&s, &p);
}

int peer_strassen(const bench_product *p)
{
    fork_pool->arena.execute([=] { strassen(*p); });
    return 0;
}

void merge(bench_merge m)
{
    bench_merge low, high;

    if (m.a_n + m.b_n <= BENCH_SORT_LEAF) {
        bench_merge_leaf(&m);
        return;
    }
    bench_merge_split(&m, &low, &high);
    tbb::task_group group;
    group.run([&low] { merge(low); });
    merge(high);
    group.wait();
}

void sort(bench_sort s)
{
    if (s.n <= BENCH_SORT_LEAF) {
        bench_sort_leaf(&s);
        return;
    }
    tbb::task_group group;
    for (int i = 0; i < 4; i++)
        group.run([&s, i] { sort(bench_sort_quarter(&s, i)); });
    group.wait();
    for (int i = 0; i < 2; i++)
        group.run([&s, i] { merge(bench_sort_pair(&s, i)); });
    group.wait();
    merge(bench_sort_pairs(&s));
}

int peer_sort(const bench_sort *s)
{
    fork_pool->arena.execute([=] { sort(*s); });
    return 0;
}

int most(const bench_knapsack *k, int i, int room, int value)
{
    int with, without;

    if (room < 0)
        return 0;
    if (i == k->n)
        return value;
    if (!bench_knapsack_hopes(k, i, room, value))
        return 0;
    tbb::task_group group;
    group.run([&with, k, i, room, value] {
        with = most(k, i + 1, room - k->items[i].weight,
                    value + k->items[i].value);
    });
    without = most(k, i + 1, room, value);
    group.wait();
    return with > without ? with : without;
}

int peer_knapsack(const bench_knapsack *k, int *value_out)
{
    fork_pool->arena.execute([=] { *value_out = most(k, 0, k->room, 0); });
    return 0;
}

template <uint32_t value(size_t)> int loop(const bench_loop *l)
{
    fork_pool->arena.execute([l] {
        tbb::parallel_for(tbb::blocked_range<size_t>(0, l->n),
                          [l](const tbb::blocked_range<size_t> &part) {
                              for (size_t i = part.begin(); i < part.end(); i++)
                                  l->out[i] = value(i);
                          });
    });
    return 0;
}

} // namespace

void bench_tbb_fork_register()
{
    static bench_fork peer = {};

    peer.open = peer_open;
    peer.close = peer_close;
    peer.fib = peer_fib;
    peer.tree = peer_tree;
    peer.nqueens = peer_nqueens;
    peer.skynet = peer_skynet;
    peer.uts = peer_uts;
    peer.matmul = peer_matmul;
    peer.strassen = peer_strassen;
    peer.sort = peer_sort;
    peer.knapsack = peer_knapsack;
    peer.loop_short = loop<bench_loop_short>;
    peer.loop_uneven = loop<bench_loop_uneven>;
    bench_fork_register(&peer);
}
