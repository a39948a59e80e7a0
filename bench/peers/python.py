#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python.py - Python's ProcessPoolExecutor, by the rows of processes.

It understands those flags of Google Benchmark that bench/run uses, and
answers as that does.
"""
import concurrent.futures
import json
import multiprocessing
import os
import re
import statistics
import sys
import time

CPUS = sorted(os.sched_getaffinity(0))
TRIPS, TRIPS_BEFORE, BULK, BULK_ROUNDS = 1500, 50, 20000, 3


def add_one(number):
    return number + 1


def pool_of(workers):
    """With all of its workers started, by what the caller is pinned to."""
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("fork"))
    concurrent.futures.wait(
        [pool.submit(add_one, i) for i in range(4 * workers)])
    return pool


def crossing(scale, worker_cpu):
    os.sched_setaffinity(0, {CPUS[worker_cpu]})
    with pool_of(1) as pool:
        # The threads of the executor in this process come along.
        for tid in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(tid), {CPUS[0]})
        us = []
        for i in range(TRIPS_BEFORE + max(1, int(TRIPS * scale))):
            time.sleep(200e-6)
            begin = time.perf_counter_ns()
            assert pool.submit(add_one, i).result() == i + 1
            us.append((time.perf_counter_ns() - begin) / 1000)
    us = sorted(us[TRIPS_BEFORE:])
    return {"p50_us": us[len(us) // 2], "p99_us": us[len(us) * 99 // 100]}


def bulk(scale):
    del scale  # as many at a time as the row says
    ns = []
    with pool_of(2) as pool:
        for _ in range(1 + BULK_ROUNDS):
            begin = time.perf_counter_ns()
            futures = [pool.submit(add_one, i) for i in range(BULK)]
            total = sum(f.result() for f in futures)
            ns.append((time.perf_counter_ns() - begin) / BULK)
            assert total == BULK * (BULK + 1) // 2
    return {"ns": statistics.median(ns[1:]), "cold_ns": ns[0]}


ROWS = {
    "crossing/one-cpu": lambda scale: crossing(scale, 0),
    "crossing/apart": lambda scale: crossing(scale, 1),
    "bulk/2w": bulk,
}


def main():
    flags = dict(a.lstrip("-").split("=", 1) if "=" in a
                 else (a.lstrip("-"), "") for a in sys.argv[1:])
    if "benchmark_list_tests" in flags:
        print("\n".join(ROWS))
        return 0
    wanted = re.compile(flags.get("benchmark_filter", ""))
    scale = float(flags.get("scale", "1"))
    figures = [{"name": row, **measure(scale)}
               for row, measure in ROWS.items()
               if wanted.search(row + "/iterations:1")]
    json.dump({"benchmarks": figures}, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
