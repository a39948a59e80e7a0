// SPDX-License-Identifier: MIT
/*
 * peers/boost_fiber.cc - Boost.Fiber, with its work_stealing scheduler.
 *
 * A task is a fiber with a stack of 16 KiB and a future of its own. The calling
 * thread is one of the row's workers, as its fibers have to be made on one.
 */
#include <boost/fiber/all.hpp>

#include <array>
#include <memory>
#include <thread>
#include <vector>

#include "workload.h"

namespace
{

namespace fibers = boost::fibers;
using number = fibers::future<uint64_t>;

/* Threads that run fibers until they are told to end. */
struct pool {
    std::vector<std::thread> threads;
    fibers::mutex lock;
    fibers::condition_variable ended;
    bool ending = false;

    explicit pool(unsigned workers)
    {
        for (unsigned i = 1; i < workers; i++)
            threads.emplace_back([this, workers] {
                fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(
                    workers, true);
                std::unique_lock<fibers::mutex> held(lock);
                ended.wait(held, [this] { return ending; });
            });
        /* Returns when all have come so far. */
        fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(workers,
                                                                      true);
    }
    ~pool()
    {
        {
            std::unique_lock<fibers::mutex> held(lock);
            ending = true;
        }
        ended.notify_all();
        for (std::thread &thread : threads)
            thread.join();
    }
};

std::unique_ptr<pool> workers;
std::vector<number> handles;

/* dispatch: it begins at once, and whoever forks it can be taken over, so that
 * there are no more stacks than the recursion is deep. post: it is queued. */
template <class Fn> auto fork(fibers::launch how, Fn fn)
{
    return fibers::async(how, std::allocator_arg,
                         fibers::fixedsize_stack(16384), fn);
}

int peer_open(int count, int cpu)
{
    (void)cpu;
    workers = std::make_unique<pool>(static_cast<unsigned>(count));
    return 0;
}

void peer_close()
{
    workers.reset();
}

int peer_prepare(size_t n)
{
    handles.reserve(n);
    return 0;
}

int peer_window(uint64_t first, size_t n, uint64_t *sum_out)
{
    uint64_t sum = 0;

    handles.clear();
    for (size_t i = 0; i < n; i++)
        handles.push_back(
            fork(fibers::launch::post, [in = first + i] { return in + 1; }));
    for (number &f : handles)
        sum += f.get();
    *sum_out = sum;
    return 0;
}

uint64_t add_leaves(uint64_t first, uint64_t leaves)
{
    std::array<number, 10> children;
    uint64_t part = leaves / 10, sum = 0;

    if (leaves == 1)
        return first;
    for (uint64_t i = 0; i < 10; i++)
        children[i] =
            fork(fibers::launch::dispatch, [at = first + i * part, part] {
                return add_leaves(at, part);
            });
    for (number &child : children)
        sum += child.get();
    return sum;
}

int peer_tree(uint64_t first, uint64_t leaves, uint64_t *sum_out)
{
    *sum_out = add_leaves(first, leaves);
    return 0;
}

int peer_pingpong(uint64_t n, uint64_t *out)
{
    fibers::unbuffered_channel<uint64_t> there, back;

    auto ping = fork(fibers::launch::post, [&there, &back, n] {
        uint64_t value = 0;
        for (uint64_t i = 0; i < n; i++) {
            there.push(value + 1);
            value = back.value_pop();
        }
        there.close();
        return value;
    });
    auto pong = fork(fibers::launch::post, [&there, &back] {
        for (uint64_t value : there)
            back.push(value + 1);
        return uint64_t{ 0 };
    });
    *out = ping.get();
    return static_cast<int>(pong.get());
}

} // namespace

int main(int argc, char **argv)
{
    static bench_system peer = {};

    peer.open = peer_open;
    peer.close = peer_close;
    peer.prepare = peer_prepare;
    peer.window = peer_window;
    peer.tree = peer_tree;
    peer.pingpong = peer_pingpong;
    return bench_main(argc, argv, &peer, nullptr);
}
