// SPDX-License-Identifier: MIT
/*
 * binding/gbench.cc - Google Benchmark from C.
 *
 * A gbench_state is a benchmark::State under another name; C code never looks
 * into it.
 */
#include "binding/gbench.h"

#include <benchmark/benchmark.h>

namespace
{

benchmark::State &state_of(gbench_state *state)
{
    return *reinterpret_cast<benchmark::State *>(state);
}

} // namespace

void gbench_register(const char *name, gbench_fn *fn, const void *arg,
                     int64_t iterations)
{
    auto body = [fn, arg](benchmark::State &state) {
        fn(reinterpret_cast<gbench_state *>(&state), arg);
    };
    benchmark::RegisterBenchmark(name, body)
        ->UseManualTime()
        ->Iterations(iterations)
        ->Unit(benchmark::kNanosecond);
}

bool gbench_next(gbench_state *state)
{
    return state_of(state).KeepRunning();
}

void gbench_time_add(gbench_state *state, int64_t ns)
{
    state_of(state).SetIterationTime(static_cast<double>(ns) * 1e-9);
}

void gbench_counter_set(gbench_state *state, const char *name, double value)
{
    state_of(state).counters[name] = value;
}

void gbench_fail(gbench_state *state, const char *why)
{
    state_of(state).SkipWithError(why);
}

int gbench_run(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
