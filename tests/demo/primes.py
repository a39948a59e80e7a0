#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""primes.py - an example of an event loop answers every request, and ends.

    primes.py PROGRAM
"""
import os
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)
REQUESTS = 2000
SECONDS_MAX = 60
# Of a build that processes are not tested in: threads alone.
MODES = ("threads",) if "DEMO_THREADS_ONLY" in os.environ else \
    ("threads", "processes")


def answers():
    """What all answers come to: request i asks how many primes are below
    i % 1000."""
    primes = [n for n in range(2, 1000) if all(n % d for d in range(2, n))]
    return sum(sum(p < i % 1000 for p in primes) for i in range(REQUESTS))


class Primes(unittest.TestCase):
    def run_with(self, workers, mode):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith("SHUNT_")}
        return subprocess.run(
            [PROGRAM], env=dict(env, SHUNT_WORKERS=str(workers),
                            SHUNT_MODE=mode),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=SECONDS_MAX,
            check=False)

    def test_every_request_is_answered_and_the_loop_ends(self):
        total = answers()
        for mode in MODES:
            for workers in 1, 2, 7:
                done = self.run_with(workers, mode)
                self.assertEqual(done.stderr, "")
                self.assertEqual(done.stdout,
                                 "%d requests answered, %d primes\n"
                                 % (REQUESTS, total))
                self.assertEqual(done.returncode, 0)

    def test_a_pool_that_cannot_be_made_is_said(self):
        for mode in MODES:
            done = self.run_with("many", mode)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, "^primes_[a-z]+: bad argument")


if __name__ == "__main__":
    unittest.main(verbosity=2)
