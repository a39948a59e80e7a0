#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""snippets.py - what the documentation shows compiles, runs and is true.

    snippets.py ROOT LIBSHUNT_SO    check README.md, docs/*.md, include/shunt/*.h
    snippets.py --self-test ROOT LIBSHUNT_SO    check that faults are found

A page reads from its top to its bottom as one source file:

  - A ```c block with a main is a program of its own: built and run.
  - Any other ```c block is a fragment. What it declares stays declared for
    the fragments below it on the page. Its statements become the body of a
    main that has a pool of two workers called pool; it is built and run, and
    its asserts are what the page claims.
  - A ```cpp block is a program in C++17, or a fragment in the same way.
  - A ```output block is what the program above it prints; a span of time in
    it ("12 ms", "1.5 s") stands for any other.
  - A program that begins with the comment "/* NAME.c - ..." is the one of that
    name in docs/examples/, word for word, but for the line of its licence.

In a header, an indented part of a comment that has statements is a fragment;
SETTINGS has what it takes for granted. Everything is built with the first
compiler that is here and run, on threads and in worker processes; with
SHUNT_TEST_THOROUGH=1 in auto pools, too, and each other compiler says what it
thinks of it. An exit status other than 0 is a fault.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

FLAGS = {
    "c": "-std=c11 -pedantic -Wall -Wextra -Werror".split(),
    "cpp": "-std=c++17 -pedantic -Wall -Wextra -Werror".split(),
}
COMPILERS = {"c": ("gcc", "clang"), "cpp": ("g++", "clang++")}
SECONDS_MAX = 60
THOROUGH = os.environ.get("SHUNT_TEST_THOROUGH") == "1"
MODES = ("threads", "processes") + (("auto",) if THOROUGH else ())

# Fragments may use POSIX, as a page on threads and forks must.
PRELUDE = """\
#define _POSIX_C_SOURCE 200809L
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <shunt/shunt.h>
"""
POOL = {
    "c": "&(shunt_options){ .workers = 2 }",
    "cpp": "[] { static shunt_options o; o.workers = 2; return &o; }()",
}
MAIN = """\
int main(void)
{
    shunt_pool *pool;
    assert(shunt_pool_new(&pool, %s) == 0);
    {
%s
    }
    assert(shunt_pool_free(pool) == 0);
    return 0;
}
"""

# What the examples of a header take for granted, and the names that they
# leave unused because they stop early.
UNUSED = "-Wno-unused-variable -Wno-unused-but-set-variable".split()
REQUEST = """\
struct request { const char *url; };
struct title { char text[128]; };
static int get_title(const struct request *in, struct title *out)
{
    out->text[0] = in->url[0];
    return 0;
}
"""
SETTINGS = {
    "task.h": (REQUEST, ""),
    "future.h": (REQUEST + """\
SHUNT_TASK(get_title, struct request, struct title)
""", "const char *u = \"x\";"),
    "compose.h": ("""\
struct url { char text[64]; };
struct page { char text[64]; };
static int fetch(const struct url *in, struct page *out)
{
    memcpy(out->text, in->text, sizeof out->text);
    return 0;
}
SHUNT_TASK(fetch, struct url, struct page)
static int parse(const struct page *in, int *out)
{
    *out = in->text[0];
    return 0;
}
SHUNT_TASK(parse, struct page, int)
""", "struct url url = { \"x\" }; shunt_future *f;"),
    "scope.h": ("""\
struct url { char text[64]; };
static int fetch(const struct url *in, shunt_none *out)
{
    (void)out;
    return in->text[0] == 'x' ? 0 : 1;
}
SHUNT_TASK(fetch, struct url, shunt_none)
""", "struct url urls[2] = { { \"x\" }, { \"x\" } }; int n = 2;"),
}

SETTINGS["queue.h"] = ("""\
static int twice(const long *in, long *out)
{
    *out = 2 * *in;
    return 0;
}
SHUNT_TASK(twice, long, long)
""", """\
int rc;
size_t n = 2;
shunt_future *fs[] = { shunt_submit(pool, twice, &(long){ 1 }),
                       shunt_submit(pool, twice, &(long){ 2 }) };
shunt_queue *queue;
if (shunt_queue_new(&queue) != 0)
    return 1;
""")
SETTINGS["lookahead.h"] = ("""\
static int work_on(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(work_on, long, long)
""", "")

SETTINGS["forkjoin.h"] = ("#include <shunt/forkjoin.h>\n", "")

SETTINGS["loops.h"] = ("""\
struct scaling { double *to; const double *from; double by; };
struct line { char text[40]; };
static int count_words(const struct line *in, long *out)
{
    *out = in->text[0] != '\\0';
    return 0;
}
SHUNT_TASK(count_words, struct line, long)
static int add(const long *left, const long *right, long *out)
{
    *out = *left + *right;
    return 0;
}
""", """\
enum { n = 1000 };
static struct line lines[n];
(void)scale, (void)add;
shunt_future *f;
double *from = shunt_pool_alloc(pool, n * sizeof *from);
double *to = shunt_pool_alloc(pool, n * sizeof *to);
for (int i = 0; i < n; i++)
    from[i] = i;
""")

SETTINGS["pipeline.h"] = ("""\
struct files { int left; };
struct block { char bytes[64]; };
struct packed { char bytes[32]; };
static bool next_block(struct files *files, struct block *out)
{
    out->bytes[0] = 'x';
    return files->left-- > 0;
}
static int pack(const struct block *in, struct packed *out)
{
    out->bytes[0] = in->bytes[0];
    return 0;
}
static int write_block(const struct packed *in, struct files *const *files,
                       shunt_none *out)
{
    (void)out;
    return in->bytes[0] != 'x' || *files == NULL;
}
""", """\
struct files *files = shunt_pool_alloc(pool, sizeof *files);
shunt_future *f;
files->left = 100;
""")

# A paragraph that begins so declares something, and so does one that describes
# a task; any other is statements.
DECLARES = re.compile(
    r"(#\s*(include|define)|static\b|struct \w+\s*\{|enum \w+\s*\{|typedef\b"
    r"|extern\b|template\b)|(.*\n)*SHUNT_(TASK|STEP|FORK)")


EXAMPLE = re.compile(r"/\* (\w+\.c) - ")
SPAN = re.compile(r"\b\d+(\.\d+)? (ms|s|min|h)\b")


class Block:
    def __init__(self, page, line, language, lines):
        self.page, self.line, self.language = page, line, language
        self.lines = lines
        self.output = None

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"

    def is_program(self):
        return re.search(r"^int main\(", self.text, re.M) is not None

    @property
    def example(self):
        """The file of docs/examples/ that it is, or None."""
        match = EXAMPLE.match(self.text) if self.is_program() else None
        return match.group(1) if match else None


def blocks_of_page(name, text):
    """The fenced blocks of a page of Markdown."""
    blocks, block = [], None
    for number, line in enumerate(text.split("\n"), 1):
        fence = re.match(r"```(\w*)$", line)
        if fence and block is None:
            block = Block(name, number + 1, fence.group(1), [])
        elif fence:
            if block.language == "output" and blocks:
                blocks[-1].output = block.text
            else:
                blocks.append(block)
            block = None
        elif block is not None:
            block.lines.append(line)
    if block is not None:
        raise ValueError("%s:%d: this block has no end" % (name, block.line))
    return [b for b in blocks if b.language in FLAGS]


def blocks_of_header(name, text):
    """The examples in the comments of a header: indented lines behind an
    empty one, with a statement among them."""
    blocks, block, empty = [], None, False
    for number, line in enumerate(text.split("\n"), 1):
        body = re.match(r" \*( {5,}\S.*)?$", line)
        indented = body is not None and body.group(1) is not None
        if block is not None and (indented or line == " *"):
            block.lines.append(line[7:])
        elif block is not None:
            blocks.append(block)
            block = None
        elif indented and empty:
            block = Block(name, number, "c", [line[7:]])
        empty = line == " *"
    return [b for b in blocks
            if any(re.search(r"[;{]$|^SHUNT_\w+\(.*\)$", line)
                   for line in b.lines)]


def paragraphs(block):
    """(line, text) of what is divided by empty lines outside of braces."""
    start, lines, depth = block.line, [], 0
    for i, line in enumerate(block.lines + [""]):
        if line.strip() or depth > 0:
            if not lines:
                start = block.line + i
            lines.append(line)
            depth += line.count("{") - line.count("}")
        elif lines:
            yield start, "\n".join(lines)
            lines = []


def parts(block):
    """A fragment's declarations and its statements, with line marks."""
    declarations, statements = "", ""
    for line, text in paragraphs(block):
        marked = '#line %d "%s"\n%s\n' % (line, block.page, text)
        # A comment belongs to what stands below it.
        code = re.sub(r"^(\s*/\*.*?\*/\s*)+", "", text, flags=re.S)
        if DECLARES.match(code):
            declarations += marked
        else:
            statements += marked
    return declarations, statements


def sources_of(blocks, setting=("", ""), unused=()):
    """(block, source, flags) for each block of a page."""
    above = {language: "" for language in FLAGS}
    for block in blocks:
        mark = '#line %d "%s"\n' % (block.line, block.page)
        if block.example:
            mark = '#line 2 "%s"\n' % block.example
        if block.is_program():
            yield block, mark + block.text, []
            continue
        declarations, statements = parts(block)
        above[block.language] += declarations
        yield block, PRELUDE + setting[0] + above[block.language] + MAIN % (
            POOL[block.language], setting[1] + "\n" + statements), \
            list(unused)


class Checker:
    def __init__(self, root, library, work):
        self.root, self.library, self.work = root, library, work
        most = None if THOROUGH else 1
        self.compilers = {
            language: [c for c in names if shutil.which(c)][:most]
            for language, names in COMPILERS.items()}
        self.faults = []
        self.built = self.run = self.skipped = 0

    def fault(self, block, what):
        self.faults.append("%s:%d: %s" % (block.page, block.line, what))

    def build(self, compiler, block, source, flags, only_check):
        """The program, or None if it has a fault."""
        path = os.path.join(self.work, "snippet." + block.language)
        program = os.path.join(self.work, "snippet")
        folder, name = os.path.split(self.library)
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        done = subprocess.run(
            [compiler, *FLAGS[block.language], *flags,
             "-I" + os.path.join(self.root, "include"), "-pthread", path,
             *(["-fsyntax-only"] if only_check else
               ["-o", program, "-L" + folder, "-l:" + name,
                "-Wl,-rpath," + folder])],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False)
        if done.returncode != 0:
            self.fault(block, "%s says\n%s" % (compiler, done.stdout))
            return None
        self.built += 1
        return program

    def execute(self, program, block):
        for mode in MODES:
            self.execute_in(mode, program, block)

    def execute_in(self, mode, program, block):
        environment = {k: v for k, v in os.environ.items()
                       if not k.startswith("SHUNT_")}
        environment["SHUNT_MODE"] = mode
        try:
            done = subprocess.run(
                [program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True, timeout=SECONDS_MAX, cwd=self.work,
                env=environment, check=False)
        except subprocess.TimeoutExpired:
            self.fault(block, "in %s still runs after %d s" % (
                mode, SECONDS_MAX))
            return
        self.run += 1
        if done.returncode != 0:
            self.fault(block, "in %s ends with %d\n%s" % (
                mode, done.returncode, done.stderr))
        elif block.output is not None and \
                SPAN.sub("T", done.stdout) != SPAN.sub("T", block.output):
            self.fault(block, "in %s prints\n%s" % (mode, done.stdout))

    def compare(self, block):
        """A block that is an example is what its file says."""
        path = "docs/examples/" + block.example
        if os.path.exists(os.path.join(self.root, path)) and \
                read(self.root, path).split("\n", 1)[1] == block.text:
            return
        self.fault(block, "is not " + path)

    def check(self, blocks, setting=("", ""), unused=()):
        for block, source, flags in sources_of(blocks, setting, unused):
            if block.example:
                self.compare(block)
            compilers = self.compilers[block.language]
            self.skipped += not compilers
            for i, compiler in enumerate(compilers):
                program = self.build(compiler, block, source, flags, i > 0)
                if program is not None and i == 0:
                    self.execute(program, block)


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8") as file:
        return file.read()


def pages(root):
    yield "README.md"
    for folder in ("docs", "docs/decisions"):
        for name in sorted(os.listdir(os.path.join(root, folder))):
            if name.endswith(".md"):
                yield folder + "/" + name


def check_tree(checker):
    root = checker.root
    for name in pages(root):
        blocks = blocks_of_page(name, read(root, name))
        if name in ("README.md", "docs/guide.md") and not blocks:
            checker.faults.append(name + ": has no example")
        checker.check(blocks)
    for name in sorted(os.listdir(os.path.join(root, "include/shunt"))):
        path = "include/shunt/" + name
        blocks = blocks_of_header(path, read(root, path))
        if name in SETTINGS and not blocks:
            checker.faults.append(path + ": has no example any more")
        checker.check(blocks, SETTINGS.get(name, ("", "")), UNUSED)


# Pages, and what is wrong with each; "" for none.
SPECIMENS = [
    ("", "```c\nint sum = 1 + 1;\n\nassert(sum == 2);\n```\n"),
    ("", "```c\nstatic int two(void)\n{\n    return 2;\n}\n\n"
         "assert(two() == 2);\n```\n\n```c\nassert(two() == 2);\n```\n"),
    ("", "```c\n#include <stdio.h>\nint main(void)\n{\n    puts(\"a\");\n"
         "    return 0;\n}\n```\n\n```output\na\n```\n"),
    ("", "```cpp\nconst long &two = 2;\n\nassert(two == 2);\n```\n"),
    ("ends with", "```c\nassert(shunt_pool_workers(pool) == 3);\n```\n"),
    ("ends with", "```c\nint main(void)\n{\n    return 3;\n}\n```\n"),
    ("says", "```c\nint unused = 1;\n```\n"),
    ("says", "```c\nshunt_await(NULL);\n```\n"),
    ("says", "```cpp\nint *p = malloc(4);\n```\n"),
    ("prints", "```c\n#include <stdio.h>\nint main(void)\n{\n"
               "    puts(\"a\");\n    return 0;\n}\n```\n\n"
               "```output\nb\n```\n"),
    ("", "```c\n#include <stdio.h>\nint main(void)\n{\n"
         "    puts(\"for 12 ms, 1.5 s; 3 more\");\n    return 0;\n}\n```\n\n"
         "```output\nfor 3.0 s, 7 min; 3 more\n```\n"),
    ("prints", "```c\n#include <stdio.h>\nint main(void)\n{\n"
               "    puts(\"for 12 ms; 3 more\");\n    return 0;\n}\n```\n\n"
               "```output\nfor 12 ms; 4 more\n```\n"),
    ("is not", "```c\n/* titles.c - another. */\nint main(void)\n{\n"
               "    return 0;\n}\n```\n"),
]
HEADERS = [
    ("", "/*\n * Words.\n *\n *     int a = 1;\n *     assert(a == 1);\n"
         " *\n * More.\n */\n"),
    ("", "/*\n * A picture.\n *\n *     a --> b\n */\n"),
    ("ends with", "/*\n * Words.\n *\n *     assert(pool == NULL);\n */\n"),
    ("says", "/*\n * Words.\n *\n *     no_such_name = 1;\n */\n"),
]


def self_test(checker):
    wrong = 0
    for collect, specimens, unused in (
            (blocks_of_page, SPECIMENS, ()), (blocks_of_header, HEADERS,
                                              UNUSED)):
        for number, (expected, text) in enumerate(specimens):
            checker.faults = []
            checker.check(collect("specimen", text), unused=unused)
            good = (expected in checker.faults[0] if checker.faults
                    else expected == "")
            if expected == "" and checker.faults or not good:
                wrong += 1
                print("%s %d: expected %r, found %s" % (
                    collect.__name__, number, expected, checker.faults))
    return wrong


def main():
    arguments = sys.argv[1:]
    testing = arguments[:1] == ["--self-test"]
    if len(arguments) != 2 + testing:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as work:
        checker = Checker(arguments[-2], os.path.abspath(arguments[-1]), work)
        if not checker.compilers["c"]:
            sys.exit("snippets.py: there is no C compiler")
        if testing:
            sys.exit(1 if self_test(checker) else 0)
        check_tree(checker)
    for fault in checker.faults:
        print(fault)
    print("%d built, %d run, %d left out for want of a compiler, %d faults" % (
        checker.built, checker.run, checker.skipped, len(checker.faults)))
    sys.exit(1 if checker.faults or checker.run == 0 else 0)


if __name__ == "__main__":
    main()
