/* SPDX-License-Identifier: MIT */
/*
 * shunt/cases.h - the benchmarks that only shunt has, and what they share.
 */
#ifndef BENCH_SHUNT_CASES_H
#define BENCH_SHUNT_CASES_H

#include <shunt/shunt.h>

#include "binding/gbench.h"
#include "fork/fork.h"

/* enum shunt_mode of the pools of rows that others have, too. */
extern int bench_mode;

/* The tiny task of every benchmark: out = in + 1. */
int bench_add_one(const uint64_t *in, uint64_t *out);
SHUNT_TASK_DECLARE(bench_add_one, uint64_t, uint64_t)

/* n pending futures and the promises that will settle them. */
struct bench_promises {
    shunt_promise **promises;
    shunt_future **futures;
    size_t count;
};

/* Room for n, whose pages are present; no promise yet. 0 or -1. */
int bench_promises_init(struct bench_promises *set, size_t n);

/* Make n promises of 64-bit numbers in pool. 0 or -1; those that were made
 * are in the set. */
int bench_promises_make(struct bench_promises *set, shunt_pool *pool, size_t n);

/* Give every promise its index. 0 or -1. */
int bench_promises_give(struct bench_promises *set);

/* Release every future. 0 or -1. */
int bench_promises_release(struct bench_promises *set);

/* Free the room. The promises and futures have been given and released. */
void bench_promises_fini(struct bench_promises *set);

/* Timers: struct bench_system has the same, without the pool. */
int bench_timer_cancel(shunt_pool *pool, size_t n);
int bench_timer_wait(shunt_pool *pool, int ms);
int bench_timers_new(shunt_pool *pool, size_t n);
void bench_timers_free(void);

/* What struct bench_system has, without the pool. */
int bench_chain_build(shunt_pool *pool, size_t n);
int bench_chain_run(uint64_t *out);
int bench_pingpong(shunt_pool *pool, uint64_t n, uint64_t *out);

/* fork.c: the fork-join rows, and the pool that they have open. */
extern const struct bench_fork bench_fork_shunt;
shunt_pool *bench_fork_pool(void);

/* Each registers the benchmarks of its file. */
void bench_deadline_register(void);
void bench_inputs_register(void);
void bench_pending_register(void);
void bench_queue_register(void);
void bench_forks_register(void);
void bench_deaths_register(void);

#endif /* BENCH_SHUNT_CASES_H */
