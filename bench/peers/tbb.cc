// SPDX-License-Identifier: MIT
/*
 * peers/tbb.cc - oneTBB's task_group.
 *
 * task_group has no futures: a task writes its result into an array, and
 * wait() waits for the whole window, in which the waiting thread runs tasks
 * too. Built twice:
 *   tbb       as many worker threads as the row says, and the caller helps;
 *   tbb-self  the caller is one of the row's workers. With one worker no
 *             other thread exists: the least that task_group.run can cost.
 *             It has the fork-join rows, too.
 * A round trip through wait() would not leave the calling thread, so that
 * workload enqueues into an arena in which the caller has no place.
 */
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>
#include <oneapi/tbb/task_scheduler_observer.h>

#include <future>
#include <memory>
#include <vector>

#include "fork/fork.h"
#include "measure.h"
#include "peers/tbb_fork.h"
#include "workload.h"

namespace
{

#ifdef PEER_TBB_SELF
constexpr bool caller_is_worker = true;
#else
constexpr bool caller_is_worker = false;
#endif

/* oneTBB undoes an inherited affinity, so a worker is pinned when it first
 * enters the arena. */
class pinner : public tbb::task_scheduler_observer
{
  public:
    pinner(tbb::task_arena &arena, int cpu)
        : tbb::task_scheduler_observer(arena), cpu_(cpu)
    {
        observe(cpu >= 0);
    }
    ~pinner() override
    {
        observe(false);
    }
    void on_scheduler_entry(bool is_worker) override
    {
        static thread_local bool pinned;

        if (is_worker && !pinned)
            pinned = bench_thread_pin(cpu_) == 0;
    }

  private:
    int cpu_;
};

struct pool {
    tbb::global_control limit;
    tbb::task_arena arena;   /* with the caller */
    tbb::task_arena workers; /* without */
    pinner pins;

    pool(int count, int cpu)
        : limit(tbb::global_control::max_allowed_parallelism,
                static_cast<size_t>(count + (caller_is_worker ? 0 : 1))),
          arena(count + (caller_is_worker ? 0 : 1), 1), workers(count, 0),
          pins(workers, cpu)
    {
    }
};

std::unique_ptr<pool> tbb_pool;
thread_local std::vector<uint64_t> results; /* of who submits */

int peer_open(int workers, int cpu)
{
    tbb_pool = std::make_unique<pool>(workers, cpu);
    return 0;
}

void peer_close()
{
    tbb_pool.reset();
}

int peer_prepare(size_t n)
{
    results.assign(n, 0);
    return 0;
}

void peer_leave()
{
    results = std::vector<uint64_t>();
}

int peer_window(uint64_t first, size_t n, uint64_t *sum_out)
{
    uint64_t *outs = results.data();

    tbb_pool->arena.execute([=] {
        tbb::task_group group;
        for (size_t i = 0; i < n; i++)
            group.run([=] { outs[i] = first + i + 1; });
        group.wait();
    });
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += outs[i];
    *sum_out = sum;
    return 0;
}

int peer_ping()
{
    std::promise<int> promise;
    std::future<int> future = promise.get_future();

    tbb_pool->workers.enqueue([&promise] { promise.set_value(2); });
    return future.get() == 2 ? 0 : -1;
}

uint64_t node(uint64_t first, uint64_t leaves)
{
    if (leaves == 1)
        return first;
    uint64_t parts[10], sum = 0;
    tbb::task_group group;
    for (uint64_t i = 0; i < 10; i++)
        group.run([&parts, i, first, leaves] {
            parts[i] = node(first + i * (leaves / 10), leaves / 10);
        });
    group.wait();
    for (uint64_t part : parts)
        sum += part;
    return sum;
}

int peer_tree(uint64_t first, uint64_t leaves, uint64_t *sum_out)
{
    tbb_pool->arena.execute([=] { *sum_out = node(first, leaves); });
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    static bench_system peer = {};

    peer.open = peer_open;
    peer.close = peer_close;
    peer.prepare = peer_prepare;
    peer.window = peer_window;
    peer.enter = peer_prepare;
    peer.leave = peer_leave;
    peer.tree = peer_tree;
    if (caller_is_worker) {
        bench_stack_enlarge(argv, BENCH_STACK);
        return bench_main(argc, argv, &peer, bench_tbb_fork_register);
    }
    peer.ping = peer_ping;
    return bench_main(argc, argv, &peer, nullptr);
}
