#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tidy.py - the rules of the house that a machine can check.

    tidy.py ROOT           check the tree, one line per fault
    tidy.py --self-test    check that every rule finds what it should

In runtime/:
  layers   a folder includes only itself and folders above it in the list of
           runtime/README.md
  spelling memory_order_ stands in runtime/base/atomic.h only
  orders   every sh_load_acq, sh_store_rel, ... has a comment on a line of its
           statement or ending on the line above: "relaxed: why", or the edges
           that the order is for, "acquire: publish" or "seq_cst: last, sleep"
  edges    an edge that is used is listed under "Edges" in the header comment
           of the file or of its header, or in the README.md of its folder;
           an edge that is listed has both ends: a use that acquires and
           another that releases, seq_cst doing for either

Everywhere: an SPDX line first, no unfinished work, at most 600 lines a file
and 80 a function (60 is the aim). In include/: a comment before every
function.
"""
import os
import re
import sys

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 80
LAYERS = "base sync memory queue task future fiber worker loops reactor " \
    "place process observe".split()

FOLDERS = ("runtime", "include", "tests", "bench", "docs/examples")
SPDX = "SPDX-License-Identifier: MIT"
SOURCES = (".c", ".h", ".cc", ".S", ".pml")
SCRIPTS = (".py", ".sh", "meson.build", "meson_options.txt")
# Written so that this file does not find itself.
UNFINISHED = re.compile(r"\b(%s)\b" % "|".join(
    ("TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK")))

ATOMIC = re.compile(
    r"\bsh_(?:load|store|cas|xchg|or|and|add|sub)\w*?_"
    r"(rlx|acq|rel|acqrel|sc)\s*\(")
# What each order may call its edges, and which ends it can be.
WORDS = {"acq": ("acquire",), "rel": ("release",),
         "acqrel": ("acquire", "release", "acq_rel"), "sc": ("seq_cst",)}
ENDS = {"acquire": "a", "release": "r", "acq_rel": "ar", "seq_cst": "ar"}
USE = re.compile(r"\b(acquire|release|acq_rel|seq_cst):\s*([^;]*)")
NAME = re.compile(r"[a-z][a-z0-9_-]*")


class Comment:
    def __init__(self, text, first, last, alone):
        self.text, self.first, self.last = text, first, last
        self.alone = alone  # nothing stands before it on its first line


def split(text):
    """The comments of a C source, and the source with them and all literals
    blanked, so that every line and column stays where it was."""
    token = re.compile(
        r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
        re.S)
    comments = []

    def blank(match):
        found = match.group()
        if found.startswith("/"):
            first = text.count("\n", 0, match.start())
            start = text.rfind("\n", 0, match.start()) + 1
            comments.append(Comment(
                found, first, first + found.count("\n"),
                not text[start:match.start()].strip()))
        elif text[text.rfind("\n", 0, match.start()) + 1:
                  match.start()].lstrip().startswith("#include"):
            return found
        return re.sub(r"[^\n]", " ", found)

    code = token.sub(blank, text)
    return comments, code


def plain(comment):
    """The words of a comment, without its frame."""
    lines = comment.text.strip("/").strip("*").split("\n")
    return " ".join(re.sub(r"^\s*\*? ?", "", line) for line in lines).strip()


def header_comment(comments, code):
    """The comments before the first line of code."""
    begin = next((i for i, line in enumerate(code.split("\n"))
                  if line.strip()), 0)
    return "\n".join(c.text for c in comments if c.last < begin)


def edges_of_header(text):
    """The names under "Edges.": the first word of each least indented line of
    the indented ones, up to the next paragraph that begins with a title."""
    names, section, indents = [], False, []
    for line in text.split("\n"):
        line = re.sub(r"^\s*\*(?!/) ?", "", line)
        if re.match(r"Edges\b", line):
            section = True
        elif re.match(r"[A-Z][\w -]*\.(\s|$)", line):
            section = False
        elif section:
            match = re.match(r"( +)([a-z][a-z0-9_-]*)(?:\s|$)", line)
            if match:
                indents.append((len(match.group(1)), match.group(2)))
    least = min((n for n, _ in indents), default=0)
    names = [name for n, name in indents if n == least]
    return names


def edges_of_readme(text):
    """The names that open a list item, table row or indented line in the
    section whose heading says Edges."""
    names, section = [], False
    for line in text.split("\n"):
        if line.startswith("#"):
            section = "edges" in line.lower()
        elif section:
            match = re.match(
                r"(?:[-*|]|   )\s*[*`]*([a-z][a-z0-9_-]*)[*`]*(?:\s|:|\|)",
                line)
            if match:
                names.append(match.group(1))
    return names


def call_end(code, opening):
    """The index of the parenthesis that closes the one at opening."""
    depth = 0
    for i in range(opening, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return i
    return len(code) - 1


def statement(code, begin, opening):
    """The first and last index of the statement around a call."""
    first = max(code.rfind(c, 0, begin) for c in ";{}") + 1
    first += len(code[first:begin]) - len(code[first:begin].lstrip())
    end = call_end(code, opening)
    ends = [i for i in (code.find(c, end) for c in ";{") if i >= 0]
    return first, min(ends, default=end)


def edges_named(text, words):
    """(word, edge) for every edge that a comment names. After the first name
    a comma may go on with prose, which is told by being several words."""
    found = []
    for word, rest in USE.findall(text):
        for i, item in enumerate(rest.split(",")):
            match = NAME.match(item.strip())
            if not match or (i > 0 and item.strip(" .") != match.group()):
                break
            if word in words:
                found.append((word, match.group()))
    return found


class Tree:
    """What is checked: paths and their texts; faults in the order found."""

    def __init__(self, files):
        self.files = files
        self.faults = []
        self.uses = {}  # edge: the ends that were seen, as a list of letters
        self.layers = LAYERS

    def fault(self, path, line, text):
        self.faults.append("%s:%d: %s" % (path, line + 1, text))

    def check(self):
        self.check_readme()
        for path in sorted(self.files):
            text = self.files[path]
            self.check_text(path, text)
            if path.endswith((".c", ".h", ".cc")):
                comments, code = split(text)
                self.check_functions(path, code)
                if path.startswith("include/"):
                    self.check_public(path, text, comments, code)
                if path.startswith("runtime/"):
                    self.check_layers(path, code)
                    self.check_orders(path, comments, code)
        self.check_ends()
        return self.faults

    def check_readme(self):
        listed = re.search(r"^\s*((?:base)(?:\s+\w+)+)\s*$",
                           self.files.get("runtime/README.md", ""), re.M)
        if not listed:
            self.fault("runtime/README.md", 0, "has no line of layers")
        elif listed.group(1).split() != LAYERS:
            self.fault("runtime/README.md", 0,
                       "its layers are not those of tests/tidy.py")

    def check_text(self, path, text):
        if path.endswith(".md"):
            return
        lines = text.split("\n")
        head = lines[:2] if text.startswith("#!") else lines[:1]
        if not any(SPDX in line for line in head):
            self.fault(path, 0, "the first line has no " + SPDX)
        if len(lines) - 1 > FILE_LINES_MAX:
            self.fault(path, FILE_LINES_MAX,
                       "more than %d lines" % FILE_LINES_MAX)
        for i, line in enumerate(lines):
            if UNFINISHED.search(line):
                self.fault(path, i, "unfinished: " + line.strip())

    def check_functions(self, path, code):
        begin = None
        for i, line in enumerate(code.split("\n")):
            if line.rstrip() == "{":
                begin = i
            elif line.rstrip() == "}" and begin is not None:
                if i - begin - 1 > FUNCTION_LINES_MAX:
                    self.fault(path, begin, "a function of %d lines" %
                               (i - begin - 1))
                begin = None

    def check_public(self, path, text, comments, code):
        lines = text.split("\n")
        ends = {c.last for c in comments if c.alone}
        for i, line in enumerate(code.split("\n")):
            if not re.match(r"(SHUNT_API|SHUNT_MUST_USE)\b", line):
                continue
            above = i - 1
            while above >= 0 and above not in ends and lines[above].strip():
                above -= 1
            if above not in ends:
                self.fault(path, i, "a public function without a comment: " +
                           line.strip())

    def check_layers(self, path, code):
        own = path.split("/")[1]
        for i, line in enumerate(code.split("\n")):
            match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if not match or match.group(1).startswith("shunt/"):
                continue
            folder = match.group(1).split("/")[0]
            if own not in LAYERS or folder not in LAYERS:
                self.fault(path, i, "no layer: " + line.strip())
            elif LAYERS.index(folder) > LAYERS.index(own):
                self.fault(path, i, "%s includes %s, a layer below it" %
                           (own, folder))

    def check_orders(self, path, comments, code):
        if path == "runtime/base/atomic.h":
            return
        for i, line in enumerate(code.split("\n")):
            if "memory_order_" in line:
                self.fault(path, i, "memory_order_ belongs to base/atomic.h")
        known = self.known_edges(path, comments, code)
        for match in ATOMIC.finditer(code):
            line = code.count("\n", 0, match.start())
            first, last = (code.count("\n", 0, i) for i in statement(
                code, match.start(), match.end() - 1))
            said = " ; ".join(
                plain(c) for c in comments
                if (c.first <= last and c.last >= first) or
                (c.alone and c.last == first - 1))
            self.check_use(path, line, match.group(1),
                           match.group().rstrip("( "), said, known)

    def check_use(self, path, line, order, name, said, known):
        if order == "rlx":
            if "relaxed:" not in said:
                self.fault(path, line, name + " has no \"relaxed: why\"")
            return
        named = edges_named(said, WORDS[order])
        if not named:
            self.fault(path, line, "%s has no \"%s: EDGE\"" %
                       (name, "\" or \"".join(WORDS[order])))
        for word, edge in named:
            if edge not in known:
                self.fault(path, line, "the edge %s of %s is listed nowhere" %
                           (edge, name))
            self.uses.setdefault(edge, []).append(ENDS[word])

    def known_edges(self, path, comments, code):
        stem = path.rsplit(".", 1)[0] + ".h"
        known = set(edges_of_header(header_comment(comments, code)))
        if stem in self.files and stem != path:
            known |= set(edges_of_header(header_comment(
                *split(self.files[stem]))))
        folder = path
        while folder.count("/") > 1:
            folder = folder.rsplit("/", 1)[0]
            readme = self.files.get(folder + "/README.md", "")
            known |= set(edges_of_readme(readme))
        return known

    def check_ends(self):
        for path in sorted(self.files):
            if not path.startswith("runtime/"):
                continue
            text = self.files[path]
            if path.endswith("README.md"):
                listed = edges_of_readme(text)
            elif path.endswith((".c", ".h")):
                listed = edges_of_header(header_comment(*split(text)))
            else:
                continue
            for edge in listed:
                ends = self.uses.get(edge, [])
                if not any(a != b and "a" in ends[a] and "r" in ends[b]
                           for a in range(len(ends))
                           for b in range(len(ends))):
                    self.fault(path, 0, "the edge %s has not two ends: "
                               "%d uses" % (edge, len(ends)))


def read(root):
    files = {}
    for folder in FOLDERS:
        for where, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = [f for f in folders if not f.startswith("__")]
            for name in names:
                path = os.path.join(where, name)
                if name.endswith(SOURCES + SCRIPTS + ("README.md",)) or \
                        "." not in name and is_script(path):
                    with open(path, encoding="utf-8") as file:
                        files[os.path.relpath(path, root)] = file.read()
    for name in ("meson.build", "meson_options.txt", "dev", ".ci/run"):
        path = os.path.join(root, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                files[name] = file.read()
    return files


def is_script(path):
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


# -- the self-test: a good file, and what each change to it must be told --

GOOD = """\
/* SPDX-License-Identifier: MIT */
/*
 * queue/x.c - an example.
 *
 * Edges. Each has two ends.
 *   publish   put: write tail -> get: read tail
 *             over two lines
 *   last      put || get, seq_cst
 * Operations carry the orders.
 *
 * Crash. nothing   here is an edge.
 */
#include "queue/x.h"

#include "base/atomic.h"

void sh_x_put(struct sh_x *x, int v)
{
    int t = sh_load_rlx(&x->tail); /* relaxed: our own */

    /* relaxed: published by the store below,
     * which is a release */
    sh_store_rlx(&x->slot[t], v);
    sh_store_rel(&x->tail, t + 1); /* release: publish */
    sh_cas_sc(&x->head, &t,
              t + 1); /* seq_cst: last, one of them sees the other */
}

int sh_x_get(struct sh_x *x)
{
    if (sh_load_sc(&x->head) == 0) /* seq_cst: last */
        return 0;
    return sh_load_acq(&x->tail); /* acquire: publish */
}
"""
HEADER = """\
/* SPDX-License-Identifier: MIT */
/* shunt/x.h - an example. */

/* Does it. */
SHUNT_API int shunt_x(void);
SHUNT_API int shunt_y(void);
"""
BODY = "    if (sh_load_sc"
LONG = "".join("    f(%d);\n" % i for i in range(81))
PUBLIC = "include/shunt/x.h"
CASES = [
    # what is wrong, file or None for the good one, old, new, what is said
    ("include of a lower layer", None, '"base/atomic.h"', '"task/run.h"',
     "queue includes task"),
    ("include without a layer", None, '"queue/x.h"', '"x.h"', "no layer"),
    ("order spelled out", None, BODY,
     "    f(memory_order_acquire);\n" + BODY, "belongs to base/atomic.h"),
    ("order without a comment", None, " /* acquire: publish */", "",
     'sh_load_acq has no "acquire: EDGE"'),
    ("relaxed without a reason", None, "/* relaxed: our own */", "/* us */",
     'sh_load_rlx has no "relaxed: why"'),
    ("comment of another line", None, "/* relaxed: published by the store"
     " below,\n     * which is a release */\n", "", "sh_store_rlx has no"),
    ("comment of another order", None, "/* release: publish */",
     "/* acquire: publish */", "sh_store_rel has no"),
    ("edge that is not listed", None, "/* release: publish */",
     "/* release: appear */", "appear of sh_store_rel is listed nowhere"),
    ("second edge that is not listed", None, "/* seq_cst: last */",
     "/* seq_cst: last, appear */", "appear of sh_load_sc"),
    ("edge with one end", None, "sh_load_acq(&x->tail); /* acquire: publish */",
     "x->tail;", "publish has not two ends: 1 uses"),
    ("edge with two equal ends", None, "sh_store_rel(&x->tail, t + 1); "
     "/* release: publish */", "sh_load_acq(&x->tail); /* acquire: publish */",
     "publish has not two ends: 2 uses"),
    ("edge without a use", None, " *   last ", " *   sleep     a || b\n"
     " *   last ", "sleep has not two ends: 0 uses"),
    ("no SPDX line", None, "/* " + SPDX + " */\n", "", "first line has no"),
    ("unfinished work", None, "Operations", "TO" "DO Operations",
     "unfinished"),
    ("long function", None, BODY, LONG + BODY, "a function of 84 lines"),
    ("long file", None, "Operations", "x\n" * 600, "more than 600 lines"),
    ("public function without a comment", PUBLIC, "/* Does it. */\n", "",
     "public function without a comment: SHUNT_API int shunt_x"),
    ("one of two without a comment", PUBLIC, "SHUNT_API int shunt_y",
     "\nSHUNT_API int shunt_y", "without a comment: SHUNT_API int shunt_y"),
    ("README without layers", "runtime/README.md", "base", "bass",
     "no line of layers"),
    ("README with other layers", "runtime/README.md", "base sync",
     "base queue", "not those of"),
]


def good_tree():
    return {"runtime/queue/x.c": GOOD, "include/shunt/x.h": HEADER,
            "runtime/README.md": "# x\n\n    " + " ".join(LAYERS) + "\n"}


def self_test():
    wrong = []
    faults = Tree(good_tree()).check()
    if faults:
        wrong.append("the good tree: " + "; ".join(faults))
    for what, path, old, new, expected in CASES:
        files = good_tree()
        path = path or "runtime/queue/x.c"
        changed = files[path].replace(old, new, 1)
        if changed == files[path]:
            wrong.append(what + ": the case changes nothing")
        files[path] = changed
        faults = Tree(files).check()
        if not any(expected in fault for fault in faults):
            wrong.append("%s: not found; said: %s" % (what, faults))
    # The same edges, listed in the folder's README instead.
    files = good_tree()
    files["runtime/queue/x.c"] = GOOD.replace(" * Edges.", " * Words.")
    files["runtime/queue/README.md"] = \
        "# queue\n\n## Edges\n\n- `publish`: a\n| last | b |\n\n## Rest\n"
    faults = Tree(files).check()
    if faults:
        wrong.append("edges in a README: " + "; ".join(faults))
    for line in wrong:
        print(line)
    print("%d cases, %d wrong" % (len(CASES) + 2, len(wrong)))
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    files = read(sys.argv[1])
    faults = Tree(files).check()
    for fault in faults:
        print(fault)
    print("%d files, %d faults" % (len(files), len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
