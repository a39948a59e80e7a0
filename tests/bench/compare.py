#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare.py - bench/run --compare says what got slower, and nothing else.

    compare.py ROOT

Each case makes two results by hand, of which it is known what has changed, and
runs the command on the files.
"""
import itertools
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True  # the source folder stays as it is
sys.path.insert(0, os.path.join(sys.argv[1], "bench"))
import compare  # noqa: E402
import kinds  # noqa: E402

SPREAD = [1.00, 1.02, 0.97, 1.01, 0.99, 1.03, 0.98]


def result(figures, quick=False):
    """figures: (row, system, counter): of each round; a str is an error."""
    return {"quick": quick, "filter": "", "scale": 0.05 if quick else 1.0,
            "machine": {"cpu": "x", "kernel": "y"},
            "results": [
                {"round": i, "row": row, "system": system,
                 ("error" if isinstance(x, str) else counter): x}
                for (row, system, counter), some in figures.items()
                for i, x in enumerate(some)]}


def around(middle, spread=None):
    return [middle * x for x in spread or SPREAD]


FORK = ("fork/fib/1w", "shunt", "ns")


def peers(factor):
    """Six figures of peers of the same kind."""
    return {("fork/fib/%s" % w, system, "ns"): around(40 * factor)
            for w in ("1w", "2w") for system in ("tbb-self", "gomp", "rayon")}


class Compare(unittest.TestCase):
    def run_on(self, a, b):
        """The exit status, and what is printed."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("a", "b")]
            for path, facts in zip(paths, (a, b)):
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(facts, file)
            done = subprocess.run(
                [os.path.join(sys.argv[1], "bench", "run"), "--compare",
                 *paths], stdout=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stdout

    def says(self, status, *words, a, b):
        found, text = self.run_on(result(a), result(b))
        self.assertEqual(found, status, text)
        for word in words:
            self.assertIn(word, text)
        return text

    def test_a_result_is_the_same_as_itself(self):
        same = {FORK: around(2.5), **peers(1)}
        self.says(0, "0 slower, 0 faster, 1 the same", a=same, b=same)

    def test_a_tenth_more_is_slower(self):
        text = self.says(1, "1 slower, 0 faster", a={FORK: around(2.5)},
                         b={FORK: around(2.75)})
        self.assertRegex(text, r"slower +1\.10 times +fork/fib/1w: 2\.5 ->")

    def test_a_tenth_less_is_faster(self):
        self.says(0, "0 slower, 1 faster", a={FORK: around(2.75)},
                  b={FORK: around(2.5)})

    def test_a_little_more_is_the_same_however_sure_it_is(self):
        calm = [1.0 + i / 10000 for i in range(7)]
        self.says(0, "0 slower, 0 faster, 1 the same",
                  a={FORK: around(2.5, calm)}, b={FORK: around(2.6, calm)})

    def test_much_more_is_the_same_if_the_rounds_are_noise(self):
        noise = [0.5, 2.0, 0.7, 1.5, 1.0, 3.0, 0.9]
        self.says(0, "0 slower, 0 faster, 1 the same",
                  a={FORK: around(2.5, noise)}, b={FORK: around(3.0, noise)})

    def test_one_round_that_is_far_out_changes_nothing(self):
        self.says(0, "0 slower", a={FORK: around(2.5)},
                  b={FORK: around(2.5)[:6] + [250.0]})

    def test_a_slower_machine_is_no_slower_shunt(self):
        self.says(0, "machine   1.30 times", "0 slower",
                  a={FORK: around(2.5), **peers(1)},
                  b={FORK: around(3.25), **peers(1.3)})

    def test_slower_peers_hide_nothing(self):
        self.says(1, "1 slower", a={FORK: around(2.5), **peers(1)},
                  b={FORK: around(3.9), **peers(1.3)})

    def test_faster_peers_accuse_nobody(self):
        self.says(0, "0 slower", a={FORK: around(2.5), **peers(1.3)},
                  b={FORK: around(2.5), **peers(1)})

    def test_what_gained_less_than_the_peers_is_the_same(self):
        self.says(0, "0 slower, 0 faster",
                  a={FORK: around(2.5), **peers(2)},
                  b={FORK: around(2.0), **peers(1)})

    def test_a_peer_that_got_slower_is_not_reported(self):
        tbb = {("fork/fib/1w", "tbb-self", "ns"): around(40)}
        slow = {("fork/fib/1w", "tbb-self", "ns"): around(80)}
        self.says(0, "0 slower", a={FORK: around(2.5), **tbb},
                  b={FORK: around(2.5), **slow})

    def test_four_rounds_are_too_few_to_tell(self):
        self.says(0, "of 1 there are too few rounds",
                  a={FORK: around(2.5)[:4]}, b={FORK: around(25)[:4]})

    def test_five_rounds_are_enough(self):
        self.says(1, "1 slower", a={FORK: around(2.5)[:5]},
                  b={FORK: around(2.8)[:5]})

    def test_fewer_tasks_a_millisecond_are_slower(self):
        kills = ("kills/0", "shunt-processes", "per_ms")
        self.says(1, "1 slower", "shunt, processes",
                  a={kills: around(8000)}, b={kills: around(6000)})
        self.says(0, "1 faster", a={kills: around(6000)},
                  b={kills: around(8000)})

    def test_bytes_that_never_vary_need_no_rounds(self):
        memory = ("memory/pending", "shunt", "bytes")
        self.says(1, "1 slower", a={memory: [144.0]}, b={memory: [160.0]})
        self.says(0, "1 the same", a={memory: [144.0]}, b={memory: [144.0]})

    def test_what_fails_now_is_told(self):
        self.says(1, "fails   fork/fib/1w", a={FORK: around(2.5)},
                  b={FORK: ["it failed, or the result is wrong"]})

    def test_quick_and_not_quick_are_not_compared(self):
        figures = {FORK: around(2.5)}
        self.assertEqual(self.run_on(result(figures),
                                     result(figures, quick=True))[0], 2)

    def test_a_result_that_is_not_there_is_an_error(self):
        done = subprocess.run(
            [os.path.join(sys.argv[1], "bench", "run"), "--compare",
             "no-such-result", "no-such-result"],
            stderr=subprocess.PIPE, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no-such-result", done.stderr)


class Chance(unittest.TestCase):
    """Goal: the exact chance. Method: go through all ways in which the ranks
    can fall, and count those that are as far out."""

    def by_counting(self, a, b):
        def u(first):
            return sum(x > y for x in first
                       for y in set(range(n)) - set(first))

        n = len(a) + len(b)
        ranks = sorted(a + b)
        middle = len(a) * len(b) / 2
        all_u = [u(first) for first in
                 itertools.combinations(range(n), len(a))]
        here = abs(u([ranks.index(x) for x in a]) - middle)
        return sum(abs(x - middle) >= here for x in all_u) / len(all_u)

    def test_it_is_what_counting_gives(self):
        for a, b in (([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]),
                     ([1, 2, 3, 9, 5], [6, 7, 8, 4, 10]),
                     ([3, 1, 8], [2, 5, 6, 7, 4]),
                     ([10, 9, 8, 7], [1, 2, 3, 4])):
            self.assertAlmostEqual(compare.chance(a, b),
                                   self.by_counting(a, b))

    def test_equal_figures_are_no_change(self):
        self.assertEqual(compare.chance([5] * 7, [5] * 7), 1.0)


class Kinds(unittest.TestCase):
    def test_saved_results_can_be_compared(self):
        names = [n for n in os.listdir(kinds.RESULTS) if n.endswith(".json")]
        self.assertGreater(len(names), 0)
        for name in names:
            facts = kinds.read(os.path.join(kinds.RESULTS, name))
            lines, worse = compare.compare(facts, facts)
            self.assertFalse(worse, lines)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
