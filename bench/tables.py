# SPDX-License-Identifier: MIT
"""tables.py - a saved result as Markdown."""
import os
import statistics

from kinds import BENCH, KINDS, OURS, OWN, SYSTEMS, by_round, kind_of

README = os.path.join(BENCH, "README.md")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def number(value):
    return "%.3g" % value if abs(value) < 100 else "%d" % round(value)


def cell(results, row, system, counter, ratios):
    """Median [least-greatest], and for a peer shunt's ratio to it."""
    own = by_round(results, row, system, counter)
    if not own:
        failed = [r for r in results if r["row"] == row and
                  r["system"] == system and "error" in r]
        return "failed" if failed else ""
    text = number(statistics.median(own.values()))
    reference = OWN.get(kind_of(row), "shunt")
    if system == reference:
        if len(own) > 1 and counter != "bytes":
            text += " [%s–%s]" % (number(min(own.values())),
                                  number(max(own.values())))
        return text
    ours = by_round(results, row, reference, counter)
    pairs = [ours[n] / own[n] for n in own if n in ours and own[n] > 0]
    if ratios and pairs:
        ratio = statistics.median(pairs)
        text += (" (**%.2f**)" if ratio >= 1.005 else " (%.2f)") % ratio
    return text


def tables(results):
    """Markdown: a table for each kind of row, padded to be read as text."""
    for kind, (title, figures, _, _) in KINDS.items():
        rows = list(dict.fromkeys(r["row"] for r in results
                                  if kind_of(r["row"]) == kind))
        own = OWN.get(kind, "shunt")
        columns = [s for s in [own] + [s for s in SYSTEMS if s != own]
                   if any(r["system"] == s and kind_of(r["row"]) == kind
                          for r in results)]
        lines = [[title] + [SYSTEMS[s] for s in columns]]
        for row in rows:
            for counter, name, ratios in figures:
                cells = [cell(results, row, s, counter, ratios)
                         for s in columns]
                if any(cells):
                    label = row + (", " + name if name else "")
                    lines.append([label] + cells)
        if len(lines) == 1:
            continue
        widths = [max(3, *(len(line[i]) for line in lines))
                  for i in range(len(lines[0]))]
        lines.insert(1, ["-" * widths[0]] + ["-" * (w - 1) + ":"
                                            for w in widths[1:]])
        yield "\n".join("| " + " | ".join(
            text.ljust(width) for text, width in zip(line, widths)) + " |"
            for line in lines)


def heading(facts, path):
    box, build = facts["machine"], facts["build"]
    rounds = len({r["round"] for r in facts["results"]})
    of_peers = len({r["round"] for r in facts["results"]
                    if r["system"] not in OURS})
    packages = ", ".join("%s %s" % item
                         for item in sorted(build["packages"].items()))
    return (
        "Measured %s with `%s` at commit %s%s: %s, %d CPUs%s, %s, Linux %s, "
        "%s, %s; %s. Median of %d rounds%s%s; [least–greatest]; in brackets the "
        "ratio of shunt to the peer, bold where shunt is behind. Raw figures: "
        "`bench/results/%s`." % (
            facts["date"][:10], facts["command"], facts["commit"][:12],
            " with changes" if facts["changed"] else "", box["cpu"],
            box["cpus"], " of a virtual machine" if box["virtual"] else "",
            box["system"], box["kernel"], build["compiler"],
            build["options"]["buildtype"], packages, rounds,
            ", of peers %d" % of_peers if 0 < of_peers < rounds else "",
            ", %g of the tasks (--quick)" % facts.get("scale", 0.1)
            if facts["quick"] else "",
            os.path.basename(path)))


def smaller(facts):
    """What was measured on a smaller input than the others' is."""
    whole = facts.get("scale", 1.0)
    parts = sorted({(r["row"].split("/")[0], SYSTEMS[r["system"]],
                     r["scale"] / whole) for r in facts["results"]
                    if r.get("scale", whole) != whole and "error" not in r})
    return ["%s, %s: %g" % part for part in parts]


def report(facts, path):
    parts = [heading(facts, path)] + list(tables(facts["results"]))
    if smaller(facts):
        parts.append("Measured on a part of the input, as figures for one of "
                     "many: " + "; ".join(smaller(facts)) + ".")
    failed = sorted({"%s, %s: %s" % (r["row"], SYSTEMS[r["system"]],
                                     r["error"])
                     for r in facts["results"] if "error" in r})
    if failed:
        parts.append("Failed: " + "; ".join(failed) + ".")
    return "\n\n".join(parts)


def write_table(facts, path):
    with open(README, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open(README, "w", encoding="utf-8") as file:
        file.write("%s%s\n%s\n%s%s" % (before, BEGIN, report(facts, path),
                                       END, after))
