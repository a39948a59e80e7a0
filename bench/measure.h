/* SPDX-License-Identifier: MIT */
/*
 * measure.h - what the benchmarks read from the clock and from the kernel.
 *
 * Functions that return int return 0, or -1 if the kernel does not say.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The monotonic clock. */
int64_t bench_now_ns(void);

/* CPU time of all threads of this process. */
int64_t bench_cpu_ns(void);

/* Sleeps, so that both CPUs may go idle. */
void bench_pause_us(int64_t us);

/* Sorts values; the q-quantile (0 to 1) by nearest rank. n is at least 1. */
double bench_quantile(double *values, size_t n, double q);

/* The index-th CPU that the process could use when it started; -1 if there
 * are not so many. */
int bench_cpu_nth(int index);

/* Pins the calling thread to one CPU; -1: to all that it started with.
 * Threads that it makes from now on inherit that. */
int bench_thread_pin(int cpu);

/* Memory of this process that is present now. */
size_t bench_memory_bytes(void);

/* Context switches of all threads of this process so far, both kinds. */
int bench_switches_count(uint64_t *switches_out, unsigned *threads_out);

/* n zeroed bytes whose pages are present, so that the benchmark's own arrays
 * cost nothing inside a measured stretch. Freed with free. */
void *bench_pages_new(size_t n);

/* Start this program anew if its stacks are less than so large: that of main,
 * those of its threads by default, and those of OpenMP. */
void bench_stack_enlarge(char **argv, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_MEASURE_H */
