#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""draw.py - what the policy of auto loses, and where it runs what.

    draw.py REPLAY [SEED]       draw docs/auto/*.svg; REPLAY is the program of
                                replay.c: BUILD/tests/place/replay

Needs matplotlib, of the system's Python (Debian: python3-matplotlib). The files
are the same for the same policy and seed.
"""
import csv
import os
import subprocess
import sys

import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                    "..", "..", "docs", "auto")
COLUMNS = 3
POLICY, BEST, OTHER = "#1f6f8b", "#30363b", "#c3c9ce"
PLACES = {
    "process/queued": "#8da0b3", "process/inline": "#c9d4de",
    "process/blocking": "#56697c", "thread/queued": "#e39a3b",
    "thread/inline": "#f3cf94", "thread/blocking": "#b5651d",
}
# Beside the regret: what each is. Order of the panels.
WORKLOADS = {
    "tiny": "tiny: 60 ns",
    "compute": "compute: 10 ms",
    "blocking": "blocking: sleeps 2 ms",
    "mapping": "mapping: 40 µs, 95 in threads",
    "locking": "locking: 45 µs, 150 in threads",
    "sharing": "sharing: 20 µs, 12 in threads",
    "crashing": "crashing: 200 ns, 1 % crash",
    "noisy": "noisy: 4 µs ± 30 %, a stall in 20",
    "changing": "changing: compute, then tiny",
    "turning": "turning: sharing, then mapping",
    "mixture": "mixture of seven kinds",
}


def run(replay, name, seed):
    """(columns, best place): the series of a run, and the place of regret 0."""
    text = subprocess.run([replay, "--regret", name, str(seed)], check=True,
                          capture_output=True, text=True).stdout
    rows = list(csv.reader(text.splitlines()))
    columns = {head: [row[i] for row in rows[1:]]
               for i, head in enumerate(rows[0])}
    best = next(head[1:] for head in columns if head.startswith("*"))
    columns[best] = columns.pop("*" + best)
    return columns, best


def thinned(series):
    """So many as can be seen on a logarithmic scale, and what is about the
    middle, where work changes."""
    half = len(series) // 2
    return [v for i, v in enumerate(series)
            if i < 10 or i < 40 and i % 4 == 3 or i % 10 == 9 or
            half - 1 <= i < half + 4]


def regret(axes, columns, best, title):
    """Worker-milliseconds, on a scale that is straight around 0."""
    seconds = [int(ms) / 1000 for ms in thinned(columns["ms"])]

    def line(name, **how):
        values = thinned(columns[name])
        if "n" not in values:
            axes.plot(seconds, [int(v) / 1000 for v in values], **how)

    for place in PLACES:
        if place != best:
            line(place, color=OTHER, linewidth=0.9)
    line(best, color=BEST, linewidth=0.9, linestyle=":")
    if title.startswith("mixture"):
        line("apart", color=POLICY, linewidth=0.9, linestyle=":")
    line("policy", color=POLICY, linewidth=1.6)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xscale("log")
    axes.set_title(title, fontsize=8, loc="left")
    axes.tick_params(labelsize=6.5, length=2, which="both")
    axes.minorticks_off()
    axes.annotate("best: " + best, (0.02, 0.94), xycoords="axes fraction",
                  fontsize=6.5, va="top")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw_regret(runs):
    rows = -(-len(WORKLOADS) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, squeeze=False,
                                figsize=(10.5, 0.7 + 2.1 * rows))
    for axes in grid.flat[len(WORKLOADS):]:
        axes.set_visible(False)
    for axes, (name, title) in zip(grid.flat, WORKLOADS.items()):
        regret(axes, *runs[name], title)
    figure.suptitle("Regret: ms of a worker beyond the best fixed place, over "
                    "seconds.\nBlue: auto. Grey: the other fixed places. Dotted blue: "
                    "each kind of the mixture at its best one",
                    fontsize=10, x=0.01, ha="left")
    figure.tight_layout(rect=(0, 0, 1, 1))
    return figure


def spans(columns, kind):
    """(place, from, to) in seconds of where a kind ran."""
    begin, places = 0.0, columns[kind]
    for i, place in enumerate(places):
        if i + 1 == len(places) or places[i + 1] != place:
            end = int(columns["ms"][i]) / 1000
            yield place, begin, end
            begin = end


def draw_places(runs):
    rows = [(name, kind) for name in WORKLOADS for kind in runs[name][0]
            if kind not in ("ms", "policy", "apart") and kind not in PLACES]
    figure, axes = plt.subplots(figsize=(10.5, 0.9 + 0.24 * len(rows)))
    for y, (name, kind) in enumerate(rows):
        for place, begin, end in spans(runs[name][0], kind):
            axes.barh(y, end - begin, left=begin, height=0.8,
                      color=PLACES[place], linewidth=0)
    axes.set_yticks(range(len(rows)),
                    [kind if name != "mixture" else "mixture: " + kind
                     for name, kind in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 20)
    axes.tick_params(labelsize=7, length=2)
    axes.set_xlabel("seconds", fontsize=7)
    axes.legend(handles=[Patch(color=c, label=p) for p, c in PLACES.items()],
                fontsize=7, ncols=6, loc="lower left", frameon=False,
                bbox_to_anchor=(0, 1))
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    return figure


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    seed = int(sys.argv[2]) if len(sys.argv) == 3 else 1
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "shunt",
                         "font.family": "sans-serif"})
    runs = {name: run(sys.argv[1], name, seed) for name in WORKLOADS}
    os.makedirs(DOCS, exist_ok=True)
    for name, figure in (("regret", draw_regret(runs)),
                         ("places", draw_places(runs))):
        path = os.path.normpath(os.path.join(DOCS, name + ".svg"))
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
        print(path)


if __name__ == "__main__":
    main()
