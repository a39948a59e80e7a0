#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""storm.py GRAPH_FUZZ [--hits N] [--seed N] [--each N] [--keep DIR]: graph_fuzz
--storm, until workers were hit that often; then what went wrong, by kind, and
what was left in use. What a run says that fails is kept in DIR.

A run that finds a fault ends there, with what there is in its log; this goes on
with the next seed, so that faults are counted and not only met. Fails if there
was one, or anything is left. A seed is replayed with graph_fuzz --storm --seed
N; when signals arrive is not.
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import time

TOLD = re.compile(
    r'(\d+) hits, (\d+) functions ended badly; nodes that crashed were (\d+) '
    r'times the culprit, (\d+) times not; (\d+) drops cut; left in (\d+) graphs: '
    r'(\d+) records, '
    r'(\d+) aliases, (\d+) edges, (\d+) cells, (\d+) bytes')
NAMES = ('hits', 'functions ended badly', 'culprits', 'collateral',
         'drops cut short', 'graphs that leave something', 'records left', 'aliases left',
         'edges left', 'cells left', 'bytes left')

# Runs in a row that hit nobody, as a program's that fails at once.
IDLE_MAX = 20


def play(program, seed, count, keep):
    """Play seeds: the numbers told, how many were played, what failed."""
    run = subprocess.run([program, '--storm', '--patience', '30', '--seed',
                          str(seed), '--seeds', str(count)],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         check=False)
    text = run.stdout.decode(errors='replace')
    told = TOLD.search(text)
    numbers = [int(n) for n in told.groups()] if told else [0] * len(NAMES)
    if run.returncode == 0:
        return numbers, count, None
    at = re.search(r'^graph_fuzz: seed (\d+)$', text, re.M)
    failed = re.search(r'FAILED: (.*)|(Assertion .*)', text)
    said = failed.group(0) if failed else f'status {run.returncode}'
    played = int(at.group(1)) - seed + 1 if at else count
    if keep:
        with open(os.path.join(keep, str(seed + played - 1)), 'wb') as file:
            file.write(run.stdout)
    return numbers, played, said


def kind_of(said):
    """What a failure says, without the numbers."""
    return re.sub(r'\d+', 'N', said)[:100]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--hits', type=int, default=10000)
    parser.add_argument('--seed', type=int, default=int(time.time()) * 1000)
    parser.add_argument('--each', type=int, default=20)
    parser.add_argument('--keep')
    options = parser.parse_args()
    print(f'storm: first seed {options.seed}', flush=True)
    totals, graphs, seed = [0] * len(NAMES), 0, options.seed
    faults = collections.defaultdict(list)
    idle = 0
    while totals[0] < options.hits and idle < IDLE_MAX:
        numbers, played, said = play(options.program, seed, options.each,
                                     options.keep)
        totals = [a + b for a, b in zip(totals, numbers)]
        graphs += played
        idle = 0 if numbers[0] > 0 else idle + 1
        if said:
            faults[kind_of(said)].append(seed + played - 1)
            print(f'storm: seed {seed + played - 1}: {said}', flush=True)
        seed += played
    print(f'storm: {graphs} graphs')
    for name, total in zip(NAMES, totals):
        print(f'{total:10} {name}')
    print(f'{sum(map(len, faults.values())):10} graphs that failed')
    for kind, seeds in sorted(faults.items(), key=lambda f: -len(f[1])):
        print(f'{len(seeds):10}   {kind}: seeds {seeds[:5]}')
    if idle == IDLE_MAX:
        print(f'storm: nobody was hit in {idle} runs')
    if totals[4] > totals[0] / 1000 + 1:
        print('storm: more drops were cut short than hits can explain')
        return True
    return bool(faults) or totals[5] > 0 or idle == IDLE_MAX


if __name__ == '__main__':
    sys.exit(main())
