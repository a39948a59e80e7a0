#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""charts.py - draws saved results: bench/charts/*.svg.

    charts.py FILE...    the later ones count where both have a row

Needs matplotlib, of the system's Python (Debian: python3-matplotlib). A bar is
the median of the rounds, and the line on it is where their middle half lies;
shorter is better. The files are the same for the same results.
"""
import os
import statistics
import sys
import textwrap

import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

sys.dont_write_bytecode = True  # the source folder stays as it is
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kinds import BENCH, OURS, SYSTEMS, by_round, read  # noqa: E402

CHARTS = os.path.join(BENCH, "charts")
COLUMNS = 3
OURS_COLOUR, PEERS_COLOUR, LINE_COLOUR = "#1f6f8b", "#c3c9ce", "#30363b"

# name: title, and panels: (row, counter, what it is).
PAGES = {
    "fork": ("Fork and join", [
        ("fork/fib/1w", "ns", "fib, 1 worker, ns a fork"),
        ("fork/fib/2w", "ns", "fib, 2 workers, ns a fork"),
        ("fork/tree/2w", "ns", "sum over a tree, 2 workers, ns a node"),
        ("fork/nqueens/1w", "ns", "nqueens, 1 worker, ns a fork"),
        ("fork/nqueens/2w", "ns", "nqueens, 2 workers, ns a fork"),
        ("fork/skynet/2w", "ns", "skynet, 2 workers, ns a fork"),
        ("fork/uts-t1/1w", "ns", "UTS T1, 1 worker, ns a node"),
        ("fork/uts-t1/2w", "ns", "UTS T1, 2 workers, ns a node"),
        ("fork/uts-t3l/2w", "ns", "UTS T3L, 2 workers, ns a node"),
        ("fork/cilksort/2w", "ms", "cilksort, 2 workers, ms"),
        ("fork/knapsack/2w", "ns", "knapsack, 2 workers, ns a node"),
        ("fork/matmul/2w", "ms", "matmul, 2 workers, ms"),
        ("fork/strassen/2w", "ms", "strassen, 2 workers, ms"),
        ("loop/short/2w", "ns", "loop, short bodies, 2 workers, ns"),
        ("loop/uneven/2w", "ns", "loop, uneven bodies, 2 workers, ns"),
    ]),
    "pool": ("Tasks and futures", [
        ("submit/1w/window:1024", "ns", "submit and take, 1 worker, ns"),
        ("submit/2w/window:1024", "ns", "submit and take, 2 workers, ns"),
        ("tree/2w", "ns", "submit and await in tasks, 2 workers, ns"),
        ("then/chain", "ns", "a chain of then, ns a link"),
        ("when_all/tasks/2w", "ns", "one wait for all, 2 workers, ns a task"),
        ("pingpong/2w", "ns", "two tasks, 2 workers, ns a message"),
        ("roundtrip/one-cpu", "p50_us", "round trip, one CPU, median, µs"),
        ("roundtrip/apart", "p50_us", "round trip, two CPUs, median, µs"),
        ("roundtrip/apart", "p99_us", "round trip, two CPUs, p99, µs"),
        ("memory/pending", "bytes", "a pending future, bytes"),
        ("timer/cancel", "ns", "a timer, set and cancelled, ns"),
        ("timer/cancel/among-1M", "ns", "the same among a million, ns"),
    ]),
    "processes": ("Worker processes", [
        ("crossing/one-cpu", "p50_us", "round trip, one CPU, median, µs"),
        ("crossing/apart", "p50_us", "round trip, two CPUs, median, µs"),
        ("bulk/2w", "ns", "20,000 tasks in bulk, ns a task"),
        ("payload/one-cpu", "p50_us", "1 MiB and back, one CPU, µs"),
        ("payload/apart", "p50_us", "1 MiB and back, two CPUs, µs"),
        ("death/segv", "p50_us", "a crash to its failed future, µs"),
    ]),
}


def bars(results, row, counter):
    """(system, its figures in the rounds), in the order of the columns."""
    for system in SYSTEMS:
        some = list(by_round(results, row, system, counter).values())
        if some:
            yield system, some


def panel(axes, found, title):
    """Bars from the top. If one is more than fifty times another, the scale
    is logarithmic, and the title says log."""
    quarters = [statistics.quantiles(some * 2 if len(some) == 1 else some,
                                     n=4, method="inclusive")
                for _, some in found]
    medians = [q[1] for q in quarters]
    least = [q[1] - q[0] for q in quarters]
    most = [q[2] - q[1] for q in quarters]
    log = min(medians) > 0 and max(medians) > 50 * min(medians)
    at = range(len(found))
    axes.barh(at, medians, height=0.7, xerr=[least, most], ecolor=LINE_COLOUR,
              error_kw={"elinewidth": 0.8},
              color=[OURS_COLOUR if name in OURS else PEERS_COLOUR
                     for name, _ in found])
    axes.set_yticks(at, [SYSTEMS[name] for name, _ in found])
    axes.invert_yaxis()
    top = max(m + x for m, x in zip(medians, most))
    if log:
        axes.set_xscale("log")
        axes.set_xlim(min(medians) / 3, top * 6)
    else:
        axes.set_xlim(0, top * 1.25)
    for i, (median, more) in enumerate(zip(medians, most)):
        axes.annotate(" %.3g" % median if median < 1000 else " %d" % median,
                      (median + more, i), va="center", fontsize=7)
    axes.set_title(title + (", log" if log else ""), fontsize=8,
                   loc="left")
    axes.tick_params(labelsize=7, length=2)
    axes.xaxis.set_visible(False)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def page(title, panels, notes):
    rows = -(-len(panels) // COLUMNS)
    height = 0.5 + 1.9 * rows + 0.16 * len(notes)
    figure, grid = plt.subplots(rows, COLUMNS, squeeze=False,
                                figsize=(10.5, height))
    for axes in grid.flat[len(panels):]:
        axes.set_visible(False)
    for axes, (text, found) in zip(grid.flat, panels):
        panel(axes, found, text)
    figure.suptitle(title + ": shorter is better", fontsize=11, x=0.01,
                    ha="left")
    figure.text(0.01, 0.004, "\n".join(notes), fontsize=6, va="bottom")
    figure.tight_layout(rect=(0, 0.16 * len(notes) / height, 1, 1))
    return figure


def sources(files, rows):
    """Where those rows come from: a line for each file that has one."""
    for path, facts in files:
        if any(r["row"] in rows for r in facts["results"]):
            yield from textwrap.wrap("%s, %s, %d CPUs, %s: bench/results/%s"
                                     % (facts["date"][:10],
                                        facts["machine"]["cpu"],
                                        facts["machine"]["cpus"],
                                        facts["build"]["compiler"],
                                        os.path.basename(path)), 160)


def draw(paths):
    """Draw the pages that have a panel; their paths."""
    files = [(path, read(path)) for path in paths]
    by_row = {}  # the results of the last file that has the row
    for path, facts in files:
        for row in {r["row"] for r in facts["results"]}:
            by_row[row] = (path, facts)
    os.makedirs(CHARTS, exist_ok=True)
    for name, (title, wanted) in PAGES.items():
        panels, used = [], {}
        for row, counter, text in wanted:
            path, facts = by_row.get(row, (None, {"results": []}))
            found = list(bars(facts["results"], row, counter))
            if found:
                panels.append((text, found))
                used[path] = used.get(path, set()) | {row}
        if not panels:
            continue
        notes = [line for path, rows in used.items()
                 for line in sources([f for f in files if f[0] == path], rows)]
        path = os.path.join(CHARTS, name + ".svg")
        figure = page(title, panels, notes)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
        yield path


def main():
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "shunt",
                         "font.family": "sans-serif"})
    for path in draw(sys.argv[1:]):
        print(path)


if __name__ == "__main__":
    main()
