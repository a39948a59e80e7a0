# SPDX-License-Identifier: MIT
"""compare.py - what got slower, and what faster, between two results.

A result has a figure of each round. Of shunt's figures one has changed if

  - those of the rounds of A and of B are two sets that chance alone makes so
    different less than once in a hundred times (Mann-Whitney, both sides,
    counted out and not approximated), and
  - their medians are more than 5 % apart.

The first needs five rounds on either side, or four and six. A change of all
that runs on the machine is none of shunt's: if the peers have five figures of
a kind of rows, shunt's have to have changed as said by themselves, and also
divided by the median of what the peers' have become.

Of two hundred figures that are the same one is called slower by chance, before
the 5 %; so measure again what this finds.
"""
import functools
import math
import statistics

from kinds import KINDS, OURS, SYSTEMS, by_round, kind_of, read

CHANCE_MAX = 0.01
PART_MIN = 0.05
PEERS_MIN = 5

UNTIMED = ("bytes", "switches", "cpu_percent")
MORE_IS_BETTER = ("per_ms",)


@functools.lru_cache(maxsize=None)
def ways(few, n, u):
    """In how many ways few of n ranks can have the statistic U."""
    if u < 0:
        return 0
    if few in (0, n):
        return 1 if u == 0 else 0
    return ways(few - 1, n - 1, u - (n - few)) + ways(few, n - 1, u)


def chance(a, b):
    """How likely it is that two samples of the same are as different. Equal
    figures count for neither, which errs on the side of no change."""
    above = sum(x > y for x in a for y in b)
    below = sum(x < y for x in a for y in b)
    least = len(a) * len(b) - max(above, below)
    n = len(a) + len(b)
    tail = sum(ways(len(a), n, u) for u in range(least + 1))
    return min(1.0, 2 * tail / math.comb(n, len(a)))


def figures(facts, wanted):
    """(row, system, counter): the figures of the rounds."""
    results = facts["results"]
    pairs = dict.fromkeys((r["row"], r["system"]) for r in results)
    return {(row, system, counter): list(values)
            for row, system in pairs
            if wanted(system) and kind_of(row) in KINDS
            for counter, _, _ in KINDS[kind_of(row)].figures
            if (values := by_round(results, row, system, counter).values())}


def drifts(a, b):
    """kind: by what factor the peers' times have grown."""
    before = figures(a, lambda system: system not in OURS)
    after = figures(b, lambda system: system not in OURS)
    factors = {}
    for key in before:
        old = statistics.median(before[key])
        if key in after and key[2] not in UNTIMED and old > 0:
            factors.setdefault(kind_of(key[0]), []).append(
                statistics.median(after[key]) / old)
    return {kind: statistics.median(some) for kind, some in factors.items()
            if len(some) >= PEERS_MIN}


def verdict(counter, before, after):
    """("slower", "faster", "same" or "unknown", by what factor it grew)."""
    old, new = statistics.median(before), statistics.median(after)
    grown = new / old if old > 0 else (1.0 if new == old else math.inf)
    if len(set(before)) == len(set(after)) == 1 and counter in UNTIMED:
        apart = old != new  # what never varies needs no more rounds
    elif 2 / math.comb(len(before) + len(after), len(before)) >= CHANCE_MAX:
        return "unknown", grown
    else:
        apart = chance(before, after) < CHANCE_MAX
    if not apart or abs(grown - 1) <= PART_MIN:
        return "same", grown
    worse = (grown > 1) != (counter in MORE_IS_BETTER)
    return ("slower" if worse else "faster"), grown


def verdict_beside(counter, before, after, factor):
    """The same, if the machine has changed by that factor."""
    what, grown = verdict(counter, before, after)
    if counter in UNTIMED or what not in ("slower", "faster"):
        return what, grown
    beside = verdict(counter, before, [x / factor for x in after])[0]
    return (what if beside == what else "same"), grown


def name(key):
    row, system, counter = key
    label = next(text for found, text, _ in KINDS[kind_of(row)].figures
                 if found == counter)
    return "%s%s%s" % (row, ", " + label if label else "",
                       " (%s)" % SYSTEMS[system] if system != "shunt" else "")


def failures(a, b):
    """What has figures in A and fails in B."""
    good = {(r["row"], r["system"]) for r in a["results"] if "error" not in r}
    return sorted({(r["row"], r["system"]) for r in b["results"]
                   if "error" in r and r["system"] in OURS} & good)


def compare(a, b):
    """The lines to print, and whether something got slower or fails."""
    factors = drifts(a, b)
    before = figures(a, lambda system: system in OURS)
    after = figures(b, lambda system: system in OURS)
    found = {"slower": [], "faster": [], "same": [], "unknown": []}
    for key in before:
        if key in after:
            what, grown = verdict_beside(key[2], before[key], after[key],
                                         factors.get(kind_of(key[0]), 1.0))
            found[what].append((grown, key))
    lines = ["machine %6.2f times  what the peers take, %s" % (factor, kind)
             for kind, factor in factors.items()]
    for what in ("slower", "faster"):
        for grown, key in sorted(found[what], reverse=what == "slower"):
            lines.append("%s  %6.2f times  %s: %s -> %s" % (
                what, grown, name(key),
                *("%.4g" % statistics.median(side[key])
                  for side in (before, after))))
    broken = failures(a, b)
    lines += ["fails   %s (%s)" % (row, SYSTEMS[system])
              for row, system in broken]
    lines.append(
        "%d slower, %d faster, %d the same, by more than %d %% and with a "
        "chance below %g; of %d there are too few rounds to tell." % (
            len(found["slower"]), len(found["faster"]), len(found["same"]),
            100 * PART_MIN, CHANCE_MAX, len(found["unknown"])))
    return lines, bool(found["slower"] or broken)


def scale_of(facts):
    return facts.get("scale", 0.1 if facts["quick"] else 1.0)


def main(path_a, path_b):
    """0: nothing got slower; 1: something did; 2: nothing can be said."""
    a, b = read(path_a), read(path_b)
    print("A: %s\nB: %s" % (path_a, path_b))
    for fact in ("cpu", "kernel"):
        if a["machine"][fact] != b["machine"][fact]:
            print("They are of two machines: %s, %s" % (
                a["machine"][fact], b["machine"][fact]))
    if scale_of(a) != scale_of(b):
        print("One of them is --quick, and so of other sizes.")
        return 2
    lines, worse = compare(a, b)
    print("\n".join(lines))
    return 1 if worse else 0
