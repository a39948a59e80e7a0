# SPDX-License-Identifier: MIT
"""titles.py TITLES EXAMPLES_DIR - what the demonstration says and how it ends.

Goal: every page costs its own line and only that, whatever becomes of it; in
mode processes also if that is a crash of its parser.
Method: titles, as built, against the server of docs/examples, which serves
pages that are made here, so that every line is known beforehand, and pages
that fail or crash on purpose. Nothing waits for a time to pass: the server
says when a page was asked for.
"""
import ctypes
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import unittest

TITLES = os.path.abspath(sys.argv[1])
EXAMPLES = sys.argv[2]
del sys.argv[1:3]
sys.dont_write_bytecode = True
sys.path.insert(0, EXAMPLES)
import server  # noqa: E402

# Whether this build is none that processes are tested in.
THREADS_ONLY = "DEMO_THREADS_ONLY" in os.environ

LINE = re.compile(r" *(\d+|-) +(\d+|-)  (\S+)  (.*)")
SECONDS_MAX = 120  # for one run; far more than it takes, sanitizers included


def environment(**more):
    """Ours, without what would change titles' ways. meson sets MALLOC_PERTURB_:
    with it a page of 200 KiB takes libxml2 seconds, and its deadline passes."""
    ours = {name: value for name, value in os.environ.items()
            if name not in ("SHUNT_MODE", "SHUNT_WORKERS", "MALLOC_PERTURB_")}
    return dict(ours, no_proxy="127.0.0.1", **more)


def start(*arguments, env=None, stdout=subprocess.PIPE,
          stderr=subprocess.PIPE):
    return subprocess.Popen([TITLES, *arguments], env=env or environment(),
                            stdin=subprocess.DEVNULL, stdout=stdout,
                            stderr=stderr, encoding="utf-8")


def finish(process):
    """What it printed; an error, not an endless wait, if it does not end."""
    try:
        return process.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


class Run:
    """One run in a pipe: status, out, err, and the lines taken apart."""

    def __init__(self, *arguments, env=None):
        with start(*arguments, env=env) as process:
            self.pid = process.pid
            self.out, self.err = finish(process)
        self.status = process.returncode
        self.lines, *self.reports = self.out.split("\n\n")
        self.summary = self.reports.pop() if self.reports else ""
        self.lines = self.lines.splitlines()[1:]  # without the header
        self.rows = [match.groups() for match
                     in map(LINE.fullmatch, self.lines) if match]

    def texts(self):
        return [(url, text) for _, _, url, text in self.rows]


def adopt_orphans():
    """From now on a process whose parent is gone is a child of ours."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError("no child subreaper")


def wait_for_orphans():
    """An error, not an endless wait, if one does not end."""
    def complain(*_):
        raise TimeoutError("a process is left")
    before = signal.signal(signal.SIGALRM, complain)
    signal.alarm(SECONDS_MAX)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def write_pages(folder):
    """150 pages, as (file name, content, heading that is to be found)."""
    pages = {
        # An h3 before the h1: the first in the document wins, not the highest.
        "first.html": ("<h3>Early</h3><h1>Late</h1>", "Early"),
        "empty-heading.html": ("<h1> \n </h1><h2>Second</h2>", "Second"),
        "title-only.html": ("<title>Only a title</title><p>x", "Only a title"),
        "nested.html": ("<h2>A <em>nested  <b>one</b></em>\n here</h2>",
                        "A nested one here"),
        "entity.html": ("<h1>Fish &amp; Chips &lt;3</h1>", "Fish & Chips <3"),
        "broken.html": ("<div><h1>Unclosed<p>and more", "Unclosed"),
        "control.html": ("<h1>a\x1b[31mb\x07c\xc2\x9bd</h1>", "a[31mbc d"),
        "latin1.html": (b"<meta charset=iso-8859-1><h1>Caf\xe9</h1>", "Café"),
        "utf8.html": ("<meta charset=utf-8><h1>Zürich — 東京</h1>",
                      "Zürich — 東京"),
    }
    for number in range(150 - len(pages)):
        pages["page%03d.html" % number] = (
            "<title>no</title><p>%s<h%d>Page %d</h%d>" %
            ("word " * (number * 37), number % 6 + 1, number, number % 6 + 1),
            "Page %d" % number)
    for name, (content, _) in pages.items():
        if isinstance(content, str):
            content = content.encode("latin-1" if "\xc2" in content
                                     else "utf-8")
        (folder / name).write_bytes(content)
    return {name: heading for name, (_, heading) in pages.items()}


class Titles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        folder = pathlib.Path(temporary.name) / "made"
        folder.mkdir()
        headings = write_pages(folder)
        cls.web = server.Server([folder]).__enter__()
        cls.addClassCleanup(cls.web.__exit__)
        cls.pages = cls.web.pages()
        cls.expected = [(url, headings[url.rpartition("/")[2]])
                        for url in cls.pages]
        cls.silent = cls.web.url + "/on-purpose/silent.html"

    def test_every_page_gives_its_first_heading_in_order(self):
        run = Run(*self.pages)
        self.assertEqual(run.err, "")
        self.assertEqual(run.texts(), self.expected)
        self.assertEqual(run.status, 0)
        self.assertRegex(run.summary, r"^150 pages in \d+\.\d\d s with \d+ "
                                      r"workers?: 150 with a title, 0 failed\n$")

    def test_threads_share_one_process(self):
        # Nobody stands in for who waits for the network.
        run = Run("--mode", "threads", "--workers", "4", *self.pages,
                  env=environment(SHUNT_BLOCKING_MAX="none"))
        self.assertEqual({pid for pid, _, _, _ in run.rows}, {str(run.pid)})
        threads = {thread for _, thread, _, _ in run.rows}
        self.assertLessEqual(len(threads), 4)
        self.assertNotIn(str(run.pid), threads)  # main does none of it

    def test_one_worker_and_many_find_the_same(self):
        for workers in "1", "3", "64":
            run = Run("--workers", workers, *self.pages)
            self.assertEqual((run.err, run.status), ("", 0))
            self.assertEqual(run.texts(), self.expected)

    def test_the_same_page_may_be_named_often(self):
        run = Run(*[self.pages[0]] * 300)
        self.assertEqual(run.texts(), [self.expected[0]] * 300)
        self.assertEqual((run.err, run.status), ("", 0))

    def test_a_failing_page_costs_its_own_line_and_nothing_else(self):
        failures = self.web.failures()
        urls = self.pages[:75] + list(failures) + self.pages[75:]
        run = Run("--timeout", "1", *urls)
        self.assertEqual(run.err, "")
        self.assertEqual(run.status, 1)
        self.assertEqual([url for url, _ in run.texts()], urls)
        good = [row for row in run.texts() if row[0] not in failures]
        self.assertEqual(good, self.expected)
        reasons = {url.rpartition("/")[2]: text for url, text in run.texts()
                   if url in failures}
        for name, task, why in [
                ("missing.html", "fetch_page", "HTTP status 404"),
                ("broken.html", "fetch_page", "HTTP status 500"),
                ("plain.txt", "fetch_page", "its type is text/plain, not HTML"),
                ("bare.html", "find_title", "it has neither heading nor title"),
                ("large.html", "fetch_page", "more than 4194304 bytes"),
                ("endless.html", "fetch_page", "more than 4194304 bytes"),
                ("silent.html", "fetch_page", "Operation timed out after.*"),
                ("", "fetch_page", "Failed to connect to 127.0.0.1.*")]:
            self.assertRegex(reasons.pop(name),
                             "^%s failed.*: %s$" % (task, why))
        self.assertEqual(reasons, {})
        for pid, thread, url, _ in run.rows:
            self.assertEqual((pid, thread) == ("-", "-"), url in failures)

    def test_the_summary_counts_failures_by_kind(self):
        failures = self.web.failures()
        run = Run("--timeout", "1", self.pages[0], *failures)
        head, *kinds = run.summary.splitlines()
        self.assertRegex(head, r"^9 pages in .*: 1 with a title, 8 failed$")
        kinds = dict(reversed(kind.split(None, 1)) for kind in kinds)
        expected = list(failures.values())
        self.assertEqual(kinds, {kind: str(expected.count(kind))
                                 for kind in expected})

    def test_a_bad_name_or_protocol_is_unreachable(self):
        run = Run("http://no name/", "file:///etc/passwd")
        self.assertEqual((run.err, run.status), ("", 1))
        self.assertIn("      2  unreachable\n", run.summary)

    def test_max_size_is_the_largest_size(self):
        size = (self.web.folders["made"] / "page100.html").stat().st_size
        page = self.web.url + "/made/page100.html"
        self.assertEqual(Run("--max-size", str(size), page).status, 0)
        run = Run("--max-size", str(size - 1), page)
        [(url, text)] = run.texts()
        self.assertEqual(url, page)
        self.assertRegex(text, ": more than %d bytes$" % (size - 1))

    def test_bad_arguments_are_said_with_the_usage(self):
        for arguments, said in [
                ([], "no URL is given"),
                (["--mode", "thread", "x"], "no such mode: thread"),
                (["--workers", "0", "x"], "not a number of workers: 0"),
                (["--workers", "2x", "x"], "not a number of workers: 2x"),
                (["--workers", "1025", "x"], "not a number of workers: 1025"),
                (["--timeout", "", "x"], "not a number of seconds: "),
                (["--timeout", "-1", "x"], "not a number of seconds: -1"),
                (["--max-size", "9" * 30, "x"], "not a number of bytes: 9"),
                (["--what", "x"], "unrecognized option '--what'"),
                (["--mode"], "option '--mode' requires an argument"),
                (["http://x/" + "y" * 2048], "this URL is too long: http"),
        ]:
            run = Run(*arguments)
            self.assertEqual((run.status, run.out), (2, ""), arguments)
            self.assertIn(said, run.err)
            self.assertIn("\nusage: titles [options] URL...\n", run.err)

    def test_help_goes_to_standard_output(self):
        run = Run("--help")
        self.assertEqual((run.status, run.err), (0, ""))
        self.assertRegex(run.out, r"^usage: titles \[options\] URL\.\.\.\n")

    def test_the_option_wins_over_the_environment(self):
        page = self.pages[0]
        nonsense = environment(SHUNT_MODE="nonsense", SHUNT_WORKERS="many")
        run = Run(page, env=nonsense)
        self.assertEqual(run.status, 2)
        self.assertRegex(run.err, "^titles: cannot make a pool: .*"
                                  "SHUNT_EINVAL")
        run = Run("--mode", "threads", "--workers", "1", page, env=nonsense)
        self.assertEqual((run.status, run.err), (0, ""))

    @unittest.skipIf(THREADS_ONLY, "no processes in this build")
    def test_processes_find_the_same(self):
        for mode, workers in (("processes", "1"), ("processes", "4"),
                              ("auto", "2")):
            run = Run("--mode", mode, "--workers", workers, *self.pages)
            self.assertEqual((run.err, run.status), ("", 0))
            self.assertEqual(run.texts(), self.expected)
            pids = {pid for pid, _, _, _ in run.rows}
            self.assertNotIn(str(run.pid), pids)
            # Nobody stands in for who waits for the network.
            run = Run("--mode", mode, "--workers", workers, *self.pages,
                      env=environment(SHUNT_BLOCKING_MAX="none"))
            self.assertEqual(run.texts(), self.expected)
            pids = {pid for pid, _, _, _ in run.rows}
            self.assertLessEqual(len(pids), int(workers))

    @unittest.skipIf(THREADS_ONLY, "no processes in this build")
    def test_auto_says_what_went_where_and_why(self):
        run = Run(*self.pages, env=environment(SHUNT_MODE="auto"))
        self.assertEqual((run.err, run.status), ("", 0))
        for task in "fetch_page", "find_title":
            self.assertRegex(run.out, r"What went where, and why:\n(.*\n)*"
                                      r" *%s: .*\n.* in processes" % task)

    @unittest.skipIf(THREADS_ONLY, "no processes in this build")
    def test_a_page_that_crashes_its_parser_costs_its_own_line(self):
        crashes = list(self.web.crashes())
        urls = self.pages[:50] + crashes + self.pages[50:]
        adopt_orphans()
        for workers in "1", "4":
            run = Run("--mode", "processes", "--workers", workers,
                      "--timeout", "6", *urls)
            wait_for_orphans()
            self.assertEqual((run.err, run.status), ("", 1))
            self.assertEqual([url for url, _ in run.texts()], urls)
            good = [row for row in run.texts() if row[0] not in crashes]
            self.assertEqual(good, self.expected)
            self.check_reports(run, dict(run.texts()))
            head, *kinds = run.summary.splitlines()
            self.assertRegex(head, r"^155 pages in .*: 150 with a title, "
                                   r"5 failed$")
            self.assertEqual(sorted(kinds), ["      1  timed out",
                                             "      4  crashed"])

    def check_reports(self, run, texts):
        """One for each marked page, in their order, and what it says."""
        reports = dict(report.split("\n", 1) for report in run.reports)
        self.assertEqual(list(reports), list(self.web.crashes()))
        for deed, why, more in [
                ("null", r"crashed: SIGSEGV at 0x0: dereferenced NULL",
                 r"signal 11: .*; backtrace: #0 follow_null at "
                 r"titles_purpose\.c:\d+, .* find_title at "
                 r"titles_parse\.c:\d+"),
                ("loop", r"the deadline passed while it ran; .*",
                 r"its process is killed"),
                ("memory", r"crashed: SIGSEGV at 0x0: dereferenced NULL",
                 r"memory \d{5,} KiB.*; backtrace: #0 eat_memory at "
                 r"titles_purpose\.c:\d+, "),
                ("exit", r"called exit\(0\)", r"memory \d+ KiB"),
                ("kill", r"was killed by SIGKILL, .*", r"signal 9: ")]:
            url = self.web.url + "/on-purpose/marked.html?" + deed
            self.assertRegex(texts[url], "^find_title:? %s$" % why)
            lines = reports[url].splitlines()
            self.assertLessEqual(max(map(len, lines)), 80)
            self.assertTrue(all(line.startswith("    ") for line in lines))
            report = " ".join(line.strip() for line in lines)
            self.assertTrue(report.startswith(texts[url]), report)
            self.assertRegex(report, r"submitted at \S*titles\.c:\d+")
            self.assertRegex(report, more)

    def test_on_threads_a_marked_page_is_an_ordinary_failure(self):
        crashes = list(self.web.crashes())
        run = Run("--mode", "threads", *crashes, *self.pages)
        self.assertEqual((run.err, run.status, run.reports), ("", 1, []))
        self.assertEqual(run.texts()[5:], self.expected)
        for (url, text), crash in zip(run.texts(), crashes):
            self.assertEqual(url, crash)
            self.assertRegex(text, r"^find_title failed.*: marked to crash "
                                   r"\(%s\): needs --mode processes$" %
                                   url.rpartition("?")[2])
        self.assertIn("      5  marked to crash\n", run.summary)

    def test_a_terminal_sees_a_bar_that_is_gone_at_the_end(self):
        leader, follower = pty.openpty()
        # Without a size some programs take a terminal for none.
        fcntl.ioctl(follower, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 24, 80, 0, 0))
        seen = b""
        with start("--timeout", "600", "--workers", "2", self.silent,
                   *self.pages, stderr=follower) as process:
            os.close(follower)
            # One page is left, which never comes.
            while b"\r[%-40s] 150 of 151 pages\r" % (b"#" * 39) not in seen:
                self.assertTrue(select.select([leader], [], [], SECONDS_MAX)[0])
                seen += os.read(leader, 4096)
            process.send_signal(signal.SIGINT)
            finish(process)
        try:
            while more := os.read(leader, 4096):
                seen += more
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(leader)
        self.assertRegex(seen, rb"^\r\[[# ]{40}\] \d+ of 151 pages\r")
        self.assertRegex(seen, rb"\r\x1b\[Ktitles: interrupted\r\n$")
        self.assertEqual(process.returncode, 130)

    def test_a_reader_that_leaves_early_is_no_error(self):
        read_end, write_end = os.pipe()
        with start(*self.pages, stdout=write_end) as process:
            os.close(write_end)
            os.close(read_end)
            _, err = finish(process)
        self.assertEqual((err, process.returncode), ("", 0))

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "w") as full:
            with start(self.pages[0], stdout=full) as process:
                _, err = finish(process)
        self.assertEqual(err, "titles: cannot print: "
                              "No space left on device\n")
        self.assertEqual(process.returncode, 2)

    def test_an_interrupt_cancels_what_is_left(self):
        self.web.silent.clear()
        with start("--timeout", "600", self.silent, *self.pages,
                   self.silent) as process:
            self.assertTrue(self.web.silent.wait(SECONDS_MAX))
            process.send_signal(signal.SIGINT)
            out, err = finish(process)
        self.assertEqual((out, err), ("", "titles: interrupted\n"))
        self.assertEqual(process.returncode, 130)

    def test_run_titles_shows_the_manuals_of_this_machine(self):
        pages = sum(1 for folder in server.MANUALS
                    for _ in pathlib.Path(folder).rglob("*.html"))
        if pages < 100:
            self.skipTest("only %d pages of manuals are installed" % pages)
        build = pathlib.Path(TITLES).parents[2]
        runs = [(["--mode", "threads"], 8, []), ([], 13, ["4"])]
        for options, failed, crashed in runs[:1 if THREADS_ONLY else 2]:
            done = subprocess.run(
                [os.path.join(EXAMPLES, "run-titles"), str(build), *options],
                env=environment(), stdin=subprocess.DEVNULL,
                capture_output=True, encoding="utf-8", timeout=SECONDS_MAX)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertRegex(done.stdout,
                             r"\n\n%d pages in .*: %d with a title, "
                             r"%d failed\n" % (pages + failed, pages, failed))
            self.assertEqual(re.findall(r"\n +(\d+)  crashed\n", done.stdout),
                             crashed, done.stdout[-2000:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
