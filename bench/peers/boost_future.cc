// SPDX-License-Identifier: MIT
/*
 * peers/boost_future.cc - Boost.Thread's futures on its basic_thread_pool.
 *
 * The caller is outside of the pool. A continuation is told to run in the pool,
 * too: where it may run in the thread that settles, a chain is a recursion.
 */
#define BOOST_THREAD_VERSION 5
#include <boost/thread/executors/basic_thread_pool.hpp>
#include <boost/thread/future.hpp>

#include <memory>
#include <vector>

#include "measure.h"
#include "workload.h"

namespace
{

using number = boost::future<uint64_t>;

std::unique_ptr<boost::basic_thread_pool> pool;
std::vector<number> handles;
std::vector<boost::promise<uint64_t>> promises;
boost::promise<uint64_t> first_promise;
number last;

int peer_open(int workers, int cpu)
{
    (void)cpu; /* the workers inherit it */
    pool = std::make_unique<boost::basic_thread_pool>(
        static_cast<unsigned>(workers));
    return 0;
}

void peer_close()
{
    pool.reset();
    handles.clear();
    promises.clear();
}

int peer_prepare(size_t n)
{
    handles.reserve(n);
    promises.reserve(n);
    return 0;
}

void submit(uint64_t first, size_t n)
{
    handles.clear();
    for (size_t i = 0; i < n; i++)
        handles.push_back(
            boost::async(*pool, [in = first + i] { return in + 1; }));
}

int peer_window(uint64_t first, size_t n, uint64_t *sum_out)
{
    uint64_t sum = 0;

    submit(first, n);
    for (number &f : handles)
        sum += f.get();
    *sum_out = sum;
    return 0;
}

int peer_all(uint64_t first, size_t n, uint64_t *sum_out)
{
    uint64_t sum = 0;

    submit(first, n);
    auto all = boost::when_all(handles.begin(), handles.end());
    for (number &f : all.get())
        sum += f.get();
    *sum_out = sum;
    return 0;
}

int peer_ping()
{
    return boost::async(*pool, [] { return 2; }).get() == 2 ? 0 : -1;
}

int peer_chain_build(size_t n)
{
    first_promise = {};
    last = first_promise.get_future();
    for (size_t i = 0; i < n; i++)
        last = last.then(*pool, [](number f) { return f.get() + 1; });
    return 0;
}

int peer_chain_run(uint64_t *out)
{
    first_promise.set_value(0);
    *out = last.get();
    return 0;
}

int peer_pending_new(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        promises.emplace_back();
        handles.push_back(promises.back().get_future());
    }
    return 0;
}

void peer_pending_free()
{
    handles.clear();
    promises.clear();
}

} // namespace

int main(int argc, char **argv)
{
    static bench_system peer = {};

    peer.open = peer_open;
    peer.close = peer_close;
    peer.prepare = peer_prepare;
    peer.window = peer_window;
    peer.all = peer_all;
    peer.ping = peer_ping;
    peer.chain_build = peer_chain_build;
    peer.chain_run = peer_chain_run;
    peer.pending_new = peer_pending_new;
    peer.pending_free = peer_pending_free;
    bench_stack_enlarge(argv, (size_t)1 << 30);
    return bench_main(argc, argv, &peer, nullptr);
}
