/* SPDX-License-Identifier: MIT */
/*
 * peers/tbb_fork.h - the fork-join rows of oneTBB.
 */
#ifndef BENCH_PEERS_TBB_FORK_H
#define BENCH_PEERS_TBB_FORK_H

void bench_tbb_fork_register();

#endif /* BENCH_PEERS_TBB_FORK_H */
