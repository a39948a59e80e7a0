/* SPDX-License-Identifier: MIT */
/*
 * shunt/scaling.h - the rows of scaling.c that are not those of fork-join.
 */
#ifndef BENCH_SHUNT_SCALING_H
#define BENCH_SHUNT_SCALING_H

#include "binding/gbench.h"
#include "fork/row.h"

/* Tasks that submit and await others; tasks from outside, a thousand or all at
 * a time; a loop whose last steps are a hundred times as long as the first. */
extern const struct bench_fork_row bench_scaling_tree, bench_scaling_window,
    bench_scaling_submit, bench_scaling_for;

/* Register the rows of scaling_costs.c. */
void bench_scaling_costs_register(void);

#endif /* BENCH_SHUNT_SCALING_H */
