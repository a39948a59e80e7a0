#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pages.py - the pages agree with the tree.

    pages.py ROOT

  links    a relative link of a page leads to a file, and its anchor to a
           heading there
  edges    docs/memory-model.md has every edge that a header comment of
           runtime/ lists, with the files that list it, and no other
  records  decisions are numbered without a gap, and titled with their number
"""
import os
import re
import sys

sys.dont_write_bytecode = True  # the source folder stays as it is
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import tidy  # noqa: E402


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def files_below(root, suffixes):
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders
                      if not f.startswith(".") and f != "build"]
        for name in sorted(names):
            if name.endswith(suffixes):
                yield os.path.join(folder, name)


def prose(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)


def anchors(text):
    """What a heading can be reached by, as the common renderers make it."""
    for title in re.findall(r"^#+ (.*)$", prose(text), re.M):
        kept = re.sub(r"[^\w\- ]", "", title.lower())
        yield kept.replace(" ", "-")


def broken_links(path, text):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        there = os.path.join(os.path.dirname(path), target) if target else path
        if not os.path.exists(there):
            yield "%s: %s leads nowhere" % (path, link)
        elif anchor and anchor not in anchors(read(there)):
            yield "%s: %s has no such heading" % (path, link)


def edges_of_runtime(root):
    """(edge, file) as the header comments list them."""
    runtime = os.path.join(root, "runtime")
    for path in files_below(runtime, (".c", ".h")):
        comments, code = tidy.split(read(path))
        for name in tidy.edges_of_header(tidy.header_comment(comments, code)):
            yield name, os.path.relpath(path, runtime)


def edges_of_page(text):
    for name, files in re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \|", text, re.M):
        for file in files.split(","):
            yield name, file.strip()


def wrong_edges(root):
    listed = set(edges_of_runtime(root))
    shown = set(edges_of_page(read(root, "docs", "memory-model.md")))
    if not listed:
        yield "no file of runtime/ lists an edge"
    for name, file in sorted(listed - shown):
        yield "docs/memory-model.md lacks the edge %s of %s" % (name, file)
    for name, file in sorted(shown - listed):
        yield "docs/memory-model.md: %s does not list an edge %s" % (file, name)


def wrong_decisions(root):
    folder = os.path.join(root, "docs", "decisions")
    for number, name in enumerate(sorted(os.listdir(folder)), 1):
        if not name.startswith("%04d-" % number):
            yield "docs/decisions/%s: expected number %04d" % (name, number)
        elif not read(folder, name).startswith("# %04d: " % number):
            yield "docs/decisions/%s: its title lacks the number" % name


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = sys.argv[1]
    faults, links = [], 0
    for path in files_below(root, (".md",)):
        text = read(path)
        links += len(re.findall(r"\]\(", text))
        faults += broken_links(path, text)
    faults += wrong_edges(root)
    faults += wrong_decisions(root)
    for fault in faults:
        print(fault)
    print("%d links, %d faults" % (links, len(faults)))
    sys.exit(1 if faults or links == 0 else 0)


if __name__ == "__main__":
    main()
