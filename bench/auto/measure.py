#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""measure.py - runs bench-auto, saves what it says, and prints the tables.

    bench/auto/measure.py BUILD_DIR [--quick] [--rounds N] [--warm S] [FILTER]
    bench/auto/measure.py --show [FILE]
    bench/auto/measure.py --table [FILE]   writes them into bench/README.md

FILTER is a regular expression that selects workloads (tiny, mixture). A FILE
is the path of a result, or a part of its name in bench/results/auto/. It
defaults to the newest there; for --table, to the newest of a whole run that
was not --quick.

Each workload runs in a process of its own, in which all pools live side by
side. In each round every way runs the same batch, in an order that rotates; a
ratio is the median, over the rounds, of what it is within a round. So what
disturbs the machine for a while disturbs both sides of it.
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
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RESULTS = os.path.join(ROOT, "bench", "results", "auto")
PAGE = os.path.join(ROOT, "bench", "README.md")
BEGIN, END = "<!-- auto: begin -->", "<!-- auto: end -->"
SECONDS_MAX = 600  # of one process
# Scale, rounds, seconds of warm-up at most.
FULL, QUICK = (1.0, 15, 60.0), (0.5, 5, 3.0)

WAYS = ["threads", "processes", "inline", "processes, inline", "auto"]
# The unit of a figure, and ns in it.
UNITS = {"tiny": ("ns", 1), "mixture": ("ms a batch", 1e6)}
UNIT = ("µs", 1e3)
COUNTS = ("cold", "whole", "crashes", "again")


def fail(message):
    sys.exit("measure.py: " + message)


# -- running --

def program(build):
    path = os.path.join(build, "bench", "bench-auto")
    if not os.path.exists(path):
        fail("no %s: meson setup BUILD_DIR -Dbench=true" % path)
    return path


def workloads_of(path, pattern):
    listed = subprocess.run([path, "--benchmark_list_tests"], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    names = [line.split("/")[1] for line in listed.split()]
    return [name for name in names if re.search(pattern, name)]


def figures_of(counters):
    """{"ways": {way: {"ns": [of each round], "host": {kind: n}, ...}}, ...}"""
    found = {"ways": {}}
    for name, value in counters.items():
        key, _, rest = name.partition(":")
        way, _, last = rest.partition(":")
        mine = found["ways"].setdefault(way, {}) if rest else {}
        if key == "ns":
            mine.setdefault("ns", {})[int(last)] = value
        elif key in ("host", "away"):
            mine.setdefault(key, {})[last] = int(value)
        elif rest and key in COUNTS:
            mine[key] = value
        elif key in ("tasks", "settled", "settled_seconds", "warm_seconds",
                     "slower"):
            found[key] = value
    for mine in found["ways"].values():
        mine["ns"] = [mine["ns"][i] for i in sorted(mine["ns"])]
    return found


def run_one(path, name, size):
    """The figures of a workload, or {"error": why}."""
    scale, rounds, warm = size
    with tempfile.TemporaryDirectory() as folder:
        explain = os.path.join(folder, "explain")
        try:
            done = subprocess.run(
                [path, "--scale=%g" % scale, "--rounds=%d" % rounds,
                 "--warm=%g" % warm, "--explain=" + explain,
                 "--benchmark_format=json", "--benchmark_filter=^auto/%s/"
                 % name], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True, timeout=SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            return {"error": "it took more than %d s" % SECONDS_MAX}
        lines = []
        if os.path.exists(explain):
            with open(explain, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
    if done.returncode != 0:
        return {"error": "status %d: %s" % (done.returncode,
                                            done.stderr.strip()[-300:])}
    counters = json.loads(done.stdout)["benchmarks"][0]
    if counters.get("error_occurred"):
        return {"error": counters["error_message"]}
    return {**figures_of(counters), "explained": lines}


def said_by(command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                          check=False).stdout.strip()


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return "%s, %d CPUs, Linux %s" % (model, len(os.sched_getaffinity(0)),
                                      platform.release())


def measure(args, words):
    path = program(args.build)
    names = workloads_of(path, args.filter)
    if not names:
        fail("no workload is like %s" % args.filter)
    scale, rounds, warm = QUICK if args.quick else FULL
    size = scale, args.rounds or rounds, args.warm or warm
    facts = {
        "date": datetime.datetime.now().astimezone().isoformat("T", "seconds"),
        "command": " ".join(["bench/auto/measure.py"] + words),
        "commit": said_by(["git", "rev-parse", "HEAD"]) or "unknown",
        "changed": said_by(["git", "status", "--porcelain"]) != "",
        "machine": machine(), "load": list(os.getloadavg()),
        "quick": args.quick, "filter": args.filter, "scale": size[0],
        "rounds": size[1], "warm": size[2], "workloads": {},
    }
    if facts["load"][0] > 0.5:
        print("note: the machine was busy before: load %.2f"
              % facts["load"][0], file=sys.stderr)
    for name in names:
        print("%-12s\r" % name, end="", file=sys.stderr, flush=True)
        facts["workloads"][name] = run_one(path, name, size)
    return facts


# -- results --

def save(facts):
    os.makedirs(RESULTS, exist_ok=True)
    stamp = re.sub(r"[-:]", "", facts["date"][:19])
    path = os.path.join(RESULTS, "%s-%s%s.json" % (
        stamp, facts["commit"][:8], "-quick" if facts["quick"] else ""))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=1)
        file.write("\n")
    return path


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def find(name, whole):
    """The path of a result; whole: of all workloads, in full size, or named."""
    if os.path.isfile(name):
        return name
    there = sorted(os.listdir(RESULTS)) if os.path.isdir(RESULTS) else []
    for path in (os.path.join(RESULTS, n) for n in reversed(there)
                 if n.endswith(".json") and name in n):
        facts = load(path)
        if name or not whole or not (facts["quick"] or facts["filter"]):
            return path
    fail("bench/results/auto/ holds no such result")
    return None


# -- what follows from the figures --

def ratios(found, way):
    """Of each round: auto, over that way."""
    return [a / b for a, b in zip(found["ways"]["auto"]["ns"],
                                  found["ways"][way]["ns"])]


def rivals(found):
    """The fixed ways that do all of it, the best one first."""
    return sorted((way for way, mine in found["ways"].items()
                   if way != "auto" and mine["whole"]),
                  key=lambda way: statistics.median(found["ways"][way]["ns"]))


def kinds_at(found, when):
    for line in found["explained"]:
        if line["when"] == when and line["explained"]:
            return {kind["name"]: kind for kind in line["explained"]["kinds"]}
    return None


def changes_after(found):
    """{kind: (changes of place, trials) after the warm-up}"""
    warm, end = kinds_at(found, "warm"), kinds_at(found, "end")
    if warm is None or end is None:
        return {}
    new = {"changes": 0, "trials": 0}
    return {name: tuple(kind[key] - warm.get(name, new)[key]
                        for key in ("changes", "trials"))
            for name, kind in end.items()}


def where(found):
    """Of each kind, where auto has it in the end, and how many of its tasks
    ran in the host, warm-up and trials included."""
    auto = found["ways"]["auto"]
    places = {name: "%s %s" % (kind["verdict"]["site"],
                               kind["verdict"]["manner"])
              for name, kind in (kinds_at(found, "end") or {}).items()}
    for kind in auto["host"]:
        host, away = auto["host"][kind], auto["away"][kind]
        yield "%s: %s, %s in the host" % (
            kind, places.get(kind, "place unknown"),
            percent(host, host + away))


def percent(part, whole):
    share = 100.0 * part / whole
    return "%.0f %%" % share if share in (0, 100) or 1 <= share <= 99 \
        else "%.2f %%" % share


# -- tables --

def short(value):
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return "{:,.{}f}".format(value, digits)


def row(cells):
    return "| " + " | ".join(cells) + " |"


def spread(values):
    return "%.2f [%.2f–%.2f]" % (statistics.median(values), min(values),
                                 max(values))


def cell(found, way, per):
    mine = found["ways"].get(way)
    if mine is None:
        return "–"
    text = short(statistics.median(mine["ns"]) / per)
    return text if mine["whole"] else "(%s)" % text


def times(workloads):
    yield row(["workload"] + WAYS + ["auto, of the best fixed"])
    yield "| --- |" + " ---: |" * (len(WAYS) + 1)
    for name, found in workloads.items():
        unit, per = UNITS.get(name, UNIT)
        if "error" in found:
            yield row([name, "failed: " + found["error"]] + [""] * len(WAYS))
            continue
        best = rivals(found)[0]
        yield row(["%s, %s" % (name, unit)] +
                  [cell(found, way, per) for way in WAYS] +
                  ["**%s** (%s)" % (spread(ratios(found, best)), best)])


def settling(workloads):
    yield row(["workload", "settled after, s", "warm-up, s",
               "times as slow then", "changes after", "trials after",
               "crashes", "where"])
    yield "| --- |" + " ---: |" * 6 + " --- |"
    for name, found in workloads.items():
        if "error" in found:
            continue
        counts = changes_after(found)
        yield row([name,
                   ("%.1f" if found["settled"] else "%.1f, not yet")
                   % found["settled_seconds"],
                   "%.1f" % found["warm_seconds"], "%.2f" % found["slower"],
                   most(counts, 0), most(counts, 1),
                   "%d" % found["ways"]["auto"]["crashes"],
                   "; ".join(where(found))])


def most(counts, which):
    """The most that a kind has of it, and which one that is."""
    if not counts:
        return "not known"
    kind = max(counts, key=lambda k: counts[k][which])
    n = counts[kind][which]
    return "%d (%s)" % (n, kind) if n else "0"


def halves(workloads):
    """Auto beside each way that survives the mixture, before and after its
    shift."""
    found = workloads.get("mixture", {"error": ""})
    if "error" in found:
        return
    yield ""
    yield row(["the mixture, auto beside", "all rounds", "first half",
               "second half"])
    yield "| --- |" + " ---: |" * 3
    for way in rivals(found):
        all_of_them = ratios(found, way)
        half = len(all_of_them) // 2
        yield row([way, spread(all_of_them)] +
                  [spread(some) if some else "–"
                   for some in (all_of_them[:half], all_of_them[half:])])


def tables(facts, path):
    workloads = facts["workloads"]
    yield ("Measured %s with `%s` at commit %s%s: %s. Median of %d rounds, "
           "[least–greatest]; a task, if the unit does not say otherwise; in "
           "brackets without the tasks that crash. Raw figures: `%s`."
           % (facts["date"][:10], facts["command"], facts["commit"][:12],
              " with changes" if facts["changed"] else "", facts["machine"],
              facts["rounds"], os.path.relpath(path, ROOT)))
    yield ""
    yield from times(workloads)
    yield from halves(workloads)
    yield ""
    yield from settling(workloads)


def write_page(text):
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    head, rest = page.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(head + BEGIN + "\n" + text + "\n" + END + tail)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter,
        usage=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true",
                        help="half of the tasks, and fewer rounds")
    parser.add_argument("--rounds", type=int, help="default: 15; 5 if quick")
    parser.add_argument("--warm", type=float, metavar="S",
                        help="at most so many seconds; default: 60; 3 if quick")
    parser.add_argument("--show", nargs="?", const="", metavar="FILE")
    parser.add_argument("--table", nargs="?", const="", metavar="FILE")
    parser.add_argument("build", nargs="?", metavar="BUILD_DIR")
    parser.add_argument("filter", nargs="?", default="")
    args = parser.parse_intermixed_args()
    if args.build is None and args.show is None and args.table is None:
        parser.error("BUILD_DIR, --show or --table")
    if args.build is not None:
        words = ["BUILD_DIR" if w == args.build else w for w in sys.argv[1:]]
        facts = measure(args, words)
        path = save(facts)
    else:
        path = find(args.table if args.table is not None else args.show,
                    whole=args.table is not None)
        facts = load(path)
    text = "\n".join(tables(facts, path))
    print(text)
    if args.table is not None:
        write_page(text)
    return 1 if any("error" in w for w in facts["workloads"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
