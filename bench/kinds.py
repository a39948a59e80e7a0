# SPDX-License-Identifier: MIT
"""kinds.py - what there is to measure: the systems, and the kinds of rows."""
import collections
import json
import os
import sys

sys.dont_write_bytecode = True  # the source folder stays as it is

BENCH = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(BENCH, "results")

# The columns, in order; what is not built has none.
SYSTEMS = {
    "shunt": "shunt",
    "shunt-processes": "shunt, processes",
    "futex": "raw futex",
    "futex-processes": "raw futex, processes",
    "memcpy": "memcpy",
    "serial": "serial C",
    "pthread": "pthread queue",
    "tbb": "oneTBB",
    "tbb-self": "oneTBB, caller works",
    "gomp": "libgomp",
    "omp": "libomp",
    "boost-future": "Boost.Thread",
    "boost-fiber": "Boost.Fiber",
    "rayon": "Rayon",
    "tokio": "Tokio",
    "go": "Go",
    "glib": "GLib",
    "libuv": "libuv",
    "python": "Python",
}

# Systems that are a program of another one, with a flag.
VARIANTS = {"shunt-processes": ("shunt", ["--mode=processes"])}
OURS = ("shunt", "shunt-processes")

# Kinds of rows whose ratios are those of another system than shunt's threads.
OWN = dict.fromkeys(("crossing", "bulk", "payload", "death", "kills"),
                    "shunt-processes")

# figures: (counter, its name, whether a ratio means anything).
# rounds, quick: in how many rounds it is measured, if not in all.
Kind = collections.namedtuple("Kind", "title figures rounds quick",
                              defaults=(99, 99))

KINDS = {
    "submit": Kind(
        "Submit from outside and take, 1,000,000 tiny tasks, ns a task",
        [("ns", "warm", True), ("cold_ns", "cold", True)]),
    "roundtrip": Kind(
        "Round trip to an idle pool, µs",
        [("p50_us", "p50", True), ("p99_us", "p99", True)]),
    "idle": Kind(
        "Idle pool, 5 s",
        [("switches", "context switches", False),
         ("cpu_percent", "CPU, %", False)], 1, 1),
    "tree": Kind(
        "Submit and await within tasks, 111,111 tasks, ns a task",
        [("ns", "warm", True), ("cold_ns", "cold", True)]),
    "memory": Kind(
        "Bytes a pending future, 1,000,000 of them",
        [("bytes", "", True)], 3, 1),
    "then": Kind(
        "A chain of 1,000,000 then, ns a link",
        [("ns", "warm", True), ("build_ns", "warm, building", True),
         ("run_ns", "warm, running", True), ("cold_ns", "cold", True),
         ("bytes", "bytes a waiting link", True)]),
    "pingpong": Kind(
        "Two tasks send each other 200,000 messages, ns a message",
        [("ns", "warm", True), ("cold_ns", "cold", True)]),
    "timer": Kind(
        "Timers: set for 10 s and cancelled, ns; how late, µs",
        [("ns", "warm", True), ("cold_ns", "cold", True),
         ("plain_ns", "the same tasks without", True),
         ("p50_us", "p50", True), ("p99_us", "p99", True)]),
    "when_all": Kind(
        "when_all over 1,000,000 futures, ns an input",
        [("ns", "warm", True),
         ("attach_ns", "warm, of that the call", True),
         ("give_ns", "warm, of that giving", True),
         ("give_alone_ns", "giving without a when_all", True),
         ("release_ns", "warm, releasing the result", True),
         ("cold_ns", "cold", True)]),
    "queue": Kind(
        "A completion queue, 1,000,000 futures, ns a future",
        [("ns", "warm", True),
         ("plain_ns", "the same tasks without a queue", True),
         ("add_ns", "warm, of that adding", True),
         ("give_ns", "warm, of that giving", True),
         ("give_alone_ns", "giving without a queue", True),
         ("take_ns", "warm, of that taking and releasing", True),
         ("cold_ns", "cold", True)]),
    "fork": Kind(
        "Fork and join, ns a fork (tree, uts, knapsack: a node), or ms",
        [("ns", "", True), ("ms", "ms", True)]),
    "fork/uts-t3l": Kind(
        "Fork and join, UTS T3L, 111,345,631 nodes, ns a node",
        [("ns", "", True)], 1, 0),
    "loop": Kind(
        "A loop over 1,000,000 short bodies, or 20,000 uneven, ns an index",
        [("ns", "", True)]),
    "crossing": Kind(
        "Round trip to an idle worker process, µs",
        [("p50_us", "p50", True), ("p99_us", "p99", True)]),
    "bulk": Kind(
        "20,000 tiny tasks in bulk, processes, ns a task",
        [("ns", "warm", True), ("cold_ns", "cold", True)]),
    "payload": Kind(
        "1 MiB there and 1 MiB back, processes, µs",
        [("p50_us", "p50", True), ("p99_us", "p99", True)]),
    "death": Kind(
        "From a worker's death, µs",
        [("p50_us", "to the failed future, p50", False),
         ("p99_us", "to the failed future, p99", False),
         ("first_us", "to the failed future, the first", False),
         ("whole_us", "to full capacity, p50", False),
         ("whole_p99_us", "to full capacity, p99", False)]),
    "kills": Kind(
        "Tiny tasks a millisecond, two worker processes, kills a second",
        [("per_ms", "", False)]),
}

# What takes a system so much longer than the others that it gets a smaller
# input: (system, kind): its scale. Only where the figure is for one of many,
# so that ratios stay comparable; what is ms is measured at full size.
SMALLER = {
    ("gomp", "fork"): 0.05,
    ("omp", "fork"): 0.05,
    ("boost-fiber", "submit"): 0.05,
    ("boost-fiber", "tree"): 0.1,
    ("boost-future", "then"): 0.1,
    ("go", "fork"): 0.05,
    ("go", "then"): 0.1,
}
# In how many rounds peers are measured, and if it is quick: it is shunt that
# is compared with what it was before.
PEERS_ROUNDS = (3, 1)
# And what takes very long: (system, kind): the same.
LONG = {("python", "bulk"): (1, 0)}


def kind_of(row):
    """The longest beginning of row that is a kind."""
    parts = row.split("/")
    two = "/".join(parts[:2])
    return two if two in KINDS else parts[0]


def rounds_of(system, row, quick):
    """In how many rounds at most a row is measured."""
    kind = kind_of(row)
    most = KINDS[kind].quick if quick else KINDS[kind].rounds
    if system in OURS:
        return most
    return min(most, LONG.get((system, kind), PEERS_ROUNDS)[quick])


def scale_of(system, row):
    """What part of the full input this system gets."""
    if row.split("/")[1] in ("matmul", "strassen", "cilksort"):
        return 1.0
    return SMALLER.get((system, row.split("/")[0]), 1.0)


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def find(name):
    """The path of a result; name: a path, or a part of what it is called in
    bench/results/, such as its commit; then the newest of these."""
    if os.path.isfile(name):
        return name
    there = [n for n in sorted(os.listdir(RESULTS))
             if n.endswith(".json") and name in n]
    if not there:
        sys.exit("%s is no file, and no result in bench/results/" % name)
    return os.path.join(RESULTS, there[-1])


def newest(whole):
    """The path of the newest result; whole: of all rows in full size."""
    for name in sorted(os.listdir(RESULTS), reverse=True):
        path = os.path.join(RESULTS, name)
        if name.endswith(".json"):
            facts = read(path)
            if not whole or not (facts["quick"] or facts["filter"]):
                return path
    sys.exit("bench/results/ holds no such result yet")


def by_round(results, row, system, counter):
    return {r["round"]: r[counter] for r in results
            if r["row"] == row and r["system"] == system and counter in r}
