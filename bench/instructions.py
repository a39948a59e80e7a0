# SPDX-License-Identifier: MIT
"""instructions.py - how many instructions a fork takes, counted by callgrind.

    bench/run BUILD_DIR --instructions [FILTER]

Of the rows of forks on one worker, by default fib, in plain C, in shunt, and
in whatever else --systems selects. Nothing else that runs on the machine
changes the count. A row is run in two sizes, each twice as fork/rows.c does
it, and what is more in the larger one is divided by how many forks more there
are. So what a process takes to begin, and a pool, is not counted.
"""
import json
import re
import resource
import shutil
import subprocess
import sys

from kinds import SYSTEMS

SCALES = (0.01, 0.1)  # of which no row makes the same
STACK = 256 << 20
ROWS = ("fork/fib/1w", "fork/nqueens/1w", "fork/skynet/1w")
ROUNDS = 2  # the first one, and one that takes longer than all may


def stack_enlarged():
    """The programs start anew with a larger stack, unless they have one."""
    most = resource.getrlimit(resource.RLIMIT_STACK)[1]
    if most == resource.RLIM_INFINITY or most >= STACK:
        resource.setrlimit(resource.RLIMIT_STACK, (STACK, most))


def count(program, row, scale):
    """(instructions, forks of one round)."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         *program, "--scale=%g" % scale, "--benchmark_format=json",
         "--benchmark_filter=^%s/iterations:" % row],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        check=True, timeout=600, preexec_fn=stack_enlarged)
    found = re.search(r"Collected : (\d+)", done.stderr)
    (figures,) = json.loads(done.stdout)["benchmarks"]
    if not found or figures.get("error_occurred"):
        sys.exit("%s: %s" % (row, figures.get("error_message", done.stderr)))
    return int(found.group(1)), round(figures["real_time"] / figures["ns"])


def main(found, wanted):
    """found: as programs() of bench/run has it."""
    if shutil.which("valgrind") is None:
        sys.exit("--instructions needs valgrind (Debian: valgrind)")
    rows = [row for row in ROWS if wanted.search(row)]
    if not rows:
        sys.exit("no row: there are " + ", ".join(ROWS))
    for row in rows:
        for system, (program, there) in found.items():
            if row not in there:
                continue
            (less, few), (more, many) = (count(program, row, scale)
                                         for scale in SCALES)
            print("%-18s %-22s %7.1f instructions a fork" % (
                row, SYSTEMS[system], (more - less) / ROUNDS / (many - few)))
    return 0
