/* SPDX-License-Identifier: MIT */
/*
 * binding/gbench.h - Google Benchmark from C.
 *
 * Google Benchmark lists, filters, repeats and reports; the C code under test
 * is timed by the C code itself, so that what prepares and checks a round is
 * never part of it:
 *
 *     static void ping(gbench_state *state, const void *arg)
 *     {
 *         while (gbench_next(state)) {
 *             int64_t begin = bench_now_ns();
 *             ...
 *             gbench_time_add(state, bench_now_ns() - begin);
 *         }
 *         gbench_counter_set(state, "p50_us", p50);
 *     }
 *     gbench_register("roundtrip/apart", ping, &apart, 2000);
 */
#ifndef BENCH_BINDING_GBENCH_H
#define BENCH_BINDING_GBENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gbench_state gbench_state;
typedef void gbench_fn(gbench_state *state, const void *arg);

/* Adds a benchmark that runs fn(state, arg) once, with so many iterations.
 * name is copied; arg is lent until gbench_run returns. */
void gbench_register(const char *name, gbench_fn *fn, const void *arg,
                     int64_t iterations);

/* True as often as there are iterations. */
bool gbench_next(gbench_state *state);

/* The measured time of the iteration that runs. */
void gbench_time_add(gbench_state *state, int64_t ns);

/* A figure of the benchmark's own, reported beside its time. */
void gbench_counter_set(gbench_state *state, const char *name, double value);

/* The benchmark failed and has no figures. The loop over gbench_next ends. */
void gbench_fail(gbench_state *state, const char *why);

/* Run what the --benchmark_* flags in argv select, and report. 0, or 1 if
 * argv holds something that is not understood. */
int gbench_run(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_BINDING_GBENCH_H */
