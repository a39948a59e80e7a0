#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""measure.py - runs bench-scaling, saves what it says, and prints the tables.

    bench/scaling/measure.py BUILD_DIR [--rounds N] [--scale F] [FILTER]
    bench/scaling/measure.py --show
    bench/scaling/measure.py --table      writes them into docs/scaling.md

FILTER is a regular expression that selects rows (fib, uts). A whole run is
saved in measured.json beside this, which simulate.py reads.

Each row runs in a process of its own, and in each round the numbers of workers
come one after the other, in an order that rotates. A ratio is the median, over
the rounds, of what it is within a round; so what disturbs the machine for a
while disturbs both sides of it.
"""
import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SAVED = os.path.join(HERE, "measured.json")
PAGE = os.path.join(ROOT, "docs", "scaling.md")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SECONDS_MAX = 120  # of one process
COLLAPSE = 1.3     # times what two workers take
BASE = "2w"

UNITS = {"fib": "a fork of fib(38)", "skynet": "a fork, 1,000,000 leaves",
         "uts-t1": "a node, 4,130,071", "tree": "a task, 111,111",
         "window": "a task, 1,024 at a time",
         "submit": "a task, 1,000,000 at once", "for": "a step, 1,000,000"}
# The counts, and what a million units have of them.
COUNTS = ["stolen", "searched", "missed", "lost", "offered", "parked", "woken",
          "vain", "switches"]

# Cache lines that move, at most, with each: docs/scaling.md says which.
LINES = {"calls": 14, "hints": 5, "rounds": 3, "missed": 5, "offered": 2,
         "woken": 6, "outside": 6}
OUTSIDE = ("window", "submit")  # each unit is a task from outside


def fail(message):
    sys.exit("measure.py: " + message)


def program(build):
    path = os.path.join(build, "bench", "bench-scaling")
    if not os.path.exists(path):
        fail("no %s: meson setup BUILD_DIR -Dbench=true" % path)
    return path


def rows_of(path, pattern):
    listed = subprocess.run([path, "--benchmark_list_tests"], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    rows = [line.split("/iterations:")[0] for line in listed.split()]
    return [row for row in rows if re.search(pattern, row)]


def run_one(path, row, scale):
    """The counters of a row, or {"error": why}."""
    done = subprocess.run(
        [path, "--scale=%g" % scale, "--benchmark_format=json",
         "--benchmark_filter=^%s/iterations:" % row],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=SECONDS_MAX, check=False)
    if done.returncode != 0:
        return {"error": done.stderr.strip()[-300:]}
    found = json.loads(done.stdout)["benchmarks"][0]
    if "ns" not in found:
        return {"error": found.get("error_message", "no figure")}
    kept = COUNTS + ["run", "calls", "slept", "ns", "cpu_ns", "units"]
    return {k: found[k] for k in kept if k in found}


def measure(args):
    path = program(args.build)
    rows = rows_of(path, args.filter)
    if not rows:
        fail("no row is like %s" % args.filter)
    figures = {row: [] for row in rows}
    for r in range(args.rounds):
        for i in range(len(rows)):
            row = rows[(i + r) % len(rows)]
            figures[row].append(run_one(path, row, args.scale))
            print("\r%d/%d %-30s" % (r + 1, args.rounds, row), end="",
                  file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {"machine": machine(), "commit": commit(), "scale": args.scale,
            "date": datetime.date.today().isoformat(),
            "command": "bench/scaling/measure.py BUILD_DIR --rounds %d"
                       % args.rounds,
            "rounds": args.rounds, "rows": figures}


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return "%s, %d CPUs, Linux %s" % (model, os.cpu_count(),
                                      platform.release())


def commit():
    said = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12",
                           "HEAD"], stdout=subprocess.PIPE, text=True,
                          check=False).stdout.strip()
    return said or "unknown"


# -- what was measured --

def load(name=SAVED):
    with open(name, encoding="utf-8") as f:
        return json.load(f)


def families(data):
    """{"fib": {"1w": [figures of each round], ...}, ...}, without costs."""
    found = {}
    for row, figures in data["rows"].items():
        parts = row.split("/")
        if len(parts) > 2:  # scaling/fork/fib/1w, scaling/submit/1w
            found.setdefault(parts[-2], {})[parts[-1]] = figures
    return found


def median(figures, key):
    values = [f[key] for f in figures if key in f]
    return statistics.median(values) if values else None


def least(figures, key):
    return min(f[key] for f in figures if key in f)


def ratios(figures, base, key):
    """Of each round: key, over what it is with two workers."""
    return [a[key] / b[key] for a, b in zip(figures, base)
            if key in a and key in b and b[key] > 0]


def costs(data):
    """The rows line, wake and call, in ns."""
    return {name: median(data["rows"].get("scaling/" + name, []), "ns")
            for name in ("line", "wake", "call")}


def lines_moved(family, figures):
    """Of a unit, at most."""
    def got(key):
        return median(figures, key) or 0.0

    events = {"calls": got("calls"), "hints": got("stolen") - got("calls"),
              "rounds": max(0.0, got("searched") - got("missed") -
                            got("calls")),
              "missed": got("missed"), "offered": got("offered"),
              "woken": got("woken"), "outside": float(family in OUTSIDE)}
    return sum(LINES[key] * n for key, n in events.items())


# -- tables --

def short(value):
    if value is None:
        return ""
    if value == 0:
        return "0"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return "{:,.{}f}".format(value, digits)


def table_rows(family, by_workers):
    base = by_workers.get(BASE, [])
    for workers, figures in by_workers.items():
        times = ratios(figures, base, "ns")
        cpus = ratios(figures, base, "cpu_ns")
        if not times:
            yield [family, workers] + ["failed"] + [""] * (len(COUNTS) + 4)
            continue
        ratio = statistics.median(times)
        said = "%.2f [%.2f–%.2f]" % (ratio, min(times), max(times))
        if ratio > COLLAPSE and workers != "1w":
            said = "**%s**" % said
        yield [family, workers[:-1], short(median(figures, "ns")), said,
               "%.2f" % (least(figures, "ns") / least(base, "ns")),
               "%.2f" % statistics.median(cpus)] + [
                   short(1e6 * median(figures, key)) for key in COUNTS] + [
                       "" if workers == "1w" and family not in OUTSIDE else
                       short(1e6 * lines_moved(family, figures))]


def tables(data):
    lines = ["Measured %s with `%s` at commit %s: %s; median of %d rounds, "
             "[least–greatest]. One way of a cache line %s ns, of a wake-up "
             "%s µs; a system call that wakes nobody %s ns."
             % (data["date"], data["command"], data["commit"],
                data["machine"], data["rounds"],
                short(costs(data)["line"] or 0),
                short((costs(data)["wake"] or 0) / 1000),
                short(costs(data)["call"] or 0)), "",
             "| | workers | ns | times 2 workers | quickest rounds | CPU | "
             + " | ".join(COUNTS) + " | lines |",
             "| --- |" + " ---: |" * (len(COUNTS) + 6)]
    for family, by_workers in families(data).items():
        for cells in table_rows(family, by_workers):
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def collapsed(data):
    """The rows whose median ratio is above the bound."""
    found = []
    for family, by_workers in families(data).items():
        for workers, figures in by_workers.items():
            times = ratios(figures, by_workers.get(BASE, []), "ns")
            if workers != "1w" and times and \
                    statistics.median(times) > COLLAPSE:
                found.append(family + "/" + workers)
    return found


def write_page(text, begin=BEGIN, end=END):
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(head + begin + "\n" + text + "\n" + end + tail)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?")
    parser.add_argument("filter", nargs="?", default="")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_intermixed_args()
    if args.build is None and not (args.show or args.table):
        parser.error("BUILD_DIR, --show or --table")
    data = measure(args) if args.build is not None else load()
    if args.build is not None and args.filter == "":
        with open(SAVED, "w", encoding="utf-8") as f:
            json.dump(data, f, indent=1)
            f.write("\n")
    print(tables(data))
    over = collapsed(data)
    print("\nabove %.1f times two workers: %s"
          % (COLLAPSE, ", ".join(over) if over else "none"))
    if args.table:
        write_page(tables(data))


if __name__ == "__main__":
    main()
