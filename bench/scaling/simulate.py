#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""simulate.py - what P cores would do with shunt, from what was counted.

    bench/scaling/simulate.py            validates and predicts: two tables
    bench/scaling/simulate.py --check    small ones, with bounds that must hold
    bench/scaling/simulate.py --table    writes the tables into docs/scaling.md

The costs are those in measured.json, which measure.py writes. docs/scaling.md
says what is in the model, and what is not.
"""
import argparse
import dataclasses
import functools
import statistics
import sys

sys.dont_write_bytecode = True  # the source folder stays as it is
import flat     # noqa: E402
import measure  # noqa: E402
import model    # noqa: E402
import trees    # noqa: E402

BEGIN, END = "<!-- simulated: begin -->", "<!-- simulated: end -->"
SEEDS = (1, 2, 3, 4, 5)
GREEDY = 4  # the constant of the bound on time, in steals a step of the span
VALIDATED = ("stolen", "searched", "missed", "offered", "woken")

# A machine that is not virtual: lines and wake-ups as on servers of one socket.
BARE = {"line": 80.0, "wake": 5000.0, "call": 300.0}


def costs_of(data, family, tree):
    """What was measured here: of a node, with one worker, and of the rest."""
    found = {k: v for k, v in measure.costs(data).items() if v}
    one = measure.families(data)[family]["1w"]
    node = (measure.median(one, "cpu_ns") * tree.units() /
            tree.size(tree.root))
    return model.Costs(node=node, **found)


@functools.lru_cache(maxsize=None)
def simulate(tree, workers, cores, costs, searchers=1):
    """A run for each seed: its time, and the model at its end."""
    runs = []
    for seed in SEEDS:
        forks = model.Forks(tree, workers, cores, costs, seed, searchers)
        runs.append((forks.run(), forks))
    return runs


def middle(values):
    return statistics.median(values)


def whole_trees():
    return [trees.Fib(38), trees.Skynet(1000000), trees.Uts(10)]


# -- tables --

def validation(data, all_trees):
    """Counts a million units: the model's on two cores, and what was."""
    lines = ["| | workers | " + " | ".join(VALIDATED) + " |",
             "| --- | ---: |" + " ---: |" * len(VALIDATED)]
    for tree in all_trees:
        costs = costs_of(data, tree.name, tree)
        for workers in (2, 4, 8, 16, 64):
            runs = simulate(tree, workers, 2, costs)
            figures = measure.families(data)[tree.name]["%dw" % workers]
            cells = []
            for key in VALIDATED:
                model_says = middle(f.counts[key] for _, f in runs)
                counted = measure.median(figures, key) or 0.0
                cells.append("%s / %s" % (
                    measure.short(1e6 * model_says / tree.units()),
                    measure.short(1e6 * counted)))
            lines.append("| %s | %d | %s |"
                         % (tree.name, workers, " | ".join(cells)))
    return "\n".join(lines)


def shares(runs, workers):
    """Of the time of all cores, in percent: work, looks, and so on."""
    found = {}
    for key in ("work", "look", "take", "offer", "wait"):
        found[key] = middle(100 * f.spent[key] / (workers * t)
                            for t, f in runs)
    return found


def sleep_word_busy(runs):
    return middle(100 * f.lines["sleep"][2] / t for t, f in runs)


def prediction(data, all_trees, bare):
    lines = ["| | cores | ms | speed-up | steals | work | look | take | offer "
             "| wait | sleep word | transfers a steal | wait a transfer, ns |",
             "| --- |" + " ---: |" * 12]
    for tree in all_trees:
        costs = costs_of(data, tree.name, tree)
        if bare:
            costs = dataclasses.replace(costs, **BARE)
        total = tree.size(tree.root) * costs.node
        for cores in (2, 4, 8, 16, 32, 64):
            runs = simulate(tree, cores, cores, costs)
            time = middle(t for t, _ in runs)
            steals = middle(f.counts["stolen"] for _, f in runs)
            moved = middle(sum(k[0] for k in f.lines.values())
                           for _, f in runs)
            waited = middle(sum(k[1] for k in f.lines.values())
                            for _, f in runs)
            said = shares(runs, cores)
            lines.append("| %s | %d | %.2f | %.1f | %d | %s | %.1f | %.1f | %d |"
                         % (tree.name, cores, time / 1e6, total / time, steals,
                            " | ".join("%.1f" % said[k] for k in said),
                            sleep_word_busy(runs),
                            moved / max(steals, 1) + costs.take_lines,
                            waited / max(moved, 1)))
    return "\n".join(lines)


def lines_table(data, all_trees, bare, cores=64):
    """Who waits for which line."""
    lines = ["| %d cores | line | transfers a steal | wait of each, ns "
             "| all waits, %% of all cores' time |" % cores,
             "| --- | --- | ---: | ---: | ---: |"]
    for tree in all_trees:
        costs = costs_of(data, tree.name, tree)
        if bare:
            costs = dataclasses.replace(costs, **BARE)
        runs = simulate(tree, cores, cores, costs)
        for kind in sorted(runs[0][1].lines):
            moved = middle(f.lines[kind][0] for _, f in runs)
            waited = middle(f.lines[kind][1] for _, f in runs)
            share = middle(100 * f.lines[kind][1] / (cores * t)
                           for t, f in runs)
            steals = middle(f.counts["stolen"] for _, f in runs)
            lines.append("| %s | %s | %.1f | %.0f | %.2f |"
                         % (tree.name, kind, moved / max(steals, 1),
                            waited / max(moved, 1), share))
    return "\n".join(lines)


def searchers_table(data, all_trees, cores=64):
    """Speed-up, and wake-ups: if more than one might be woken at a time."""
    many = (1, 2, 4, 8)
    lines = ["| %d cores | " % cores
             + " | ".join("%d searching" % n for n in many) + " |",
             "| --- |" + " ---: |" * len(many)]
    for name, bare in (("here", False), ("not virtual", True)):
        for tree in all_trees:
            costs = costs_of(data, tree.name, tree)
            if bare:
                costs = dataclasses.replace(costs, **BARE)
            total = tree.size(tree.root) * costs.node
            cells = []
            for n in many:
                runs = simulate(tree, cores, cores, costs, searchers=n)
                cells.append("%.1f, %.0f wake-ups"
                             % (total / middle(t for t, _ in runs),
                                middle(f.counts["woken"] for _, f in runs)))
            lines.append("| %s, %s | %s |" % (tree.name, name,
                                               " | ".join(cells)))
    return "\n".join(lines)


def flat_prediction(data, bare):
    lines = ["| tasks from outside | " + " | ".join(
        "%d cores" % n for n in (1, 2, 4, 8, 16, 32, 64)) + " |",
             "| --- |" + " ---: |" * 7]
    costs = costs_of(data, "fib", trees.Fib(20))
    if bare:
        costs = dataclasses.replace(costs, **BARE)
    alone = measure.median(measure.families(data)["window"]["1w"], "ns")
    cells, heads = [], []
    for workers in (1, 2, 4, 8, 16, 32, 64):
        outside = flat.Outside(50 * 1024, workers, costs, flat.Flat(
            submit=0.45 * alone, take=0.45 * alone, run=0.45 * alone))
        time = outside.run()
        cells.append("%.0f" % (time / (50 * 1024)))
        heads.append("%.0f" % (100 * outside.lines["head"][2] / time))
    lines.append("| ns a task | " + " | ".join(cells) + " |")
    lines.append("| the ring's head is moved, % of the time | "
                 + " | ".join(heads) + " |")
    return "\n".join(lines)


def report(data, all_trees):
    here = measure.costs(data)
    return "\n\n".join([
        "Counts a million units, simulated / counted, on two cores:",
        validation(data, all_trees),
        "Predicted, with the costs of this machine (a line %.0f ns, a wake-up "
        "%.0f µs, a call %.1f µs); shares in percent of all cores' time:"
        % (here["line"], here["wake"] / 1e3, here["call"] / 1e3),
        prediction(data, all_trees, False),
        "And with those of a machine that is not virtual (a line %.0f ns, a "
        "wake-up %.0f µs, a call %.1f µs):"
        % (BARE["line"], BARE["wake"] / 1e3, BARE["call"] / 1e3),
        prediction(data, all_trees, True),
        "Which lines those are:",
        lines_table(data, all_trees, True),
        "If more than one sleeper might be woken at a time:",
        searchers_table(data, all_trees),
        "Tasks from one thread outside, 1,024 at a time, with the latter:",
        flat_prediction(data, True)])


# -- bounds --

def bound_ns(tree, workers, costs):
    """T1 / P + c * span, as of any greedy scheduler whose steals take so long
    (Blumofe and Leiserson 1999); and workers are woken one after the other."""
    steal = (costs.take + costs.take_lines * costs.line + costs.look +
             2 * costs.hit * workers)
    woken = costs.wake + 2 * costs.call + 10 * costs.line
    return (tree.size(tree.root) * costs.node / workers +
            GREEDY * tree.span() * steal + (workers - 1) * woken)


def check():
    small = [trees.Fib(25), trees.Skynet(100000), trees.Uts(7)]
    wrong = []

    def must(holds, *what):
        if not holds:
            wrong.append(" ".join(str(w) for w in what))

    for tree in small:
        size, costs = tree.size(tree.root), model.Costs(node=200.0)
        for cores in (1, 2, 4, 8, 16, 64):
            for seed in SEEDS[:2]:
                forks = model.Forks(tree, cores, cores, costs, seed)
                time = forks.run()
                what = (tree.name, cores, seed)
                must(forks.ran == size, *what, "ran", forks.ran, "of", size)
                must(time >= size * costs.node / cores, *what, "too quick")
                must(time <= bound_ns(tree, cores, costs), *what, time,
                     "is above", bound_ns(tree, cores, costs))
                must(forks.counts["stolen"] <= 2 * cores * tree.span(), *what,
                     forks.counts["stolen"], "steals")
        two = model.Forks(tree, 2, 2, costs).run()
        must(model.Forks(tree, 2, 2, costs).run() == two, "not the same twice")
        for workers in (4, 8, 16, 64):
            forks = model.Forks(tree, workers, 2, costs)
            time = forks.run()
            must(forks.ran == size, tree.name, workers, "on two cores")
            must(time <= measure.COLLAPSE * two, tree.name, workers,
                 "workers collapse:", time / two)
        # Whoever offers nothing is found out, so the bound is one.
        deaf = model.Forks(tree, 4, 4, costs, deaf=True).run()
        must(deaf > bound_ns(tree, 4, costs), tree.name,
             "the bound holds for nobody stealing")
    one = flat.Outside(20480, 1, model.Costs(), flat.Flat())
    many = flat.Outside(20480, 64, model.Costs(), flat.Flat())
    must(many.run() <= 2 * one.run(), "tasks from outside collapse")
    must(one.done == 20480 and many.done == 20480, "tasks were lost")
    for line in wrong:
        print(line)
    print("%d bounds do not hold" % len(wrong) if wrong else "all bounds hold")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.check:
        sys.exit(check())
    text = report(measure.load(), whole_trees())
    print(text)
    if args.table:
        measure.write_page(text, BEGIN, END)


if __name__ == "__main__":
    main()
