# SPDX-License-Identifier: MIT
"""flat.py - tasks from outside, as a simulation: one thread submits a window
of them and takes the results, in order; P workers take batches from the ring.

With one worker a task takes what the row window/1w says: half of that is the
submit, half the take, and as much as each of them is what the worker does
beside it. Records and results come in order, so that most of their lines are
fetched ahead; those of the ring's ends, of its cells and of sleepers are not.
"""
import collections
import dataclasses

import model


@dataclasses.dataclass
class Flat:
    """Nanoseconds, beside model.Costs."""
    submit: float = 45.0
    take: float = 40.0
    run: float = 45.0
    lines: float = 0.05  # a task, each way, that a core really waits for
    window: int = 1024
    chunk: int = 8      # of the steps of this simulation
    batch: int = 32


class Outside:
    """model.Machine with one more worker, which is the thread outside."""

    def __init__(self, tasks, workers, costs, flat):
        self.machine = model.Machine(workers + 1, workers + 1, costs)
        self.costs, self.flat, self.tasks = costs, flat, tasks
        self.workers = workers
        self.lines = {}
        self.head = model.Line("head", self.lines)
        self.tail = model.Line("tail", self.lines)
        self.sleep_word = model.Line("sleep", self.lines)
        self.queued, self.done = 0, 0
        self.idle, self.searching = set(range(1, workers + 1)), set()
        self.counts = collections.Counter()
        self.waits = False
        for w in self.machine.workers:
            w.gen = self._worker(w) if w.number else self._outside(w)

    def run(self):
        return self.machine.run(float("inf"))

    def _notify(self, w, now):
        cost = self.sleep_word.read(w.core, now, self.costs)
        if self.searching or not self.idle:
            return cost
        number = min(self.idle)
        self.idle.discard(number)
        self.searching.add(number)
        self.counts["woken"] += 1
        self.machine.wake(self.machine.workers[number])
        return (cost + self.costs.call +
                self.sleep_word.write(w.core, now, self.costs))

    def _outside(self, w):
        f, c = self.flat, self.costs
        yield ("begin",)
        for first in range(0, self.tasks, f.window):
            end = min(first + f.window, self.tasks)
            for at in range(first, end, f.chunk):
                n = min(f.chunk, end - at)
                cost = n * f.submit + self.tail.write(
                    w.core, self.machine.now, c)
                yield ("run", cost, False)
                self.queued += n
                yield ("run", self._notify(w, self.machine.now), False)
            while self.done < end:
                self.waits = True
                yield ("run", 2 * c.line, True)
                if self.done < end:
                    yield ("sleep",)
                self.waits = False
            yield ("run", (end - first) * (f.take + f.lines * c.line),
                   False)
        self.machine.over = True
        yield ("sleep",)

    def _pop(self, w):
        """A batch from the ring: how many, and the cost."""
        f, c, now = self.flat, self.costs, self.machine.now
        cost = self.tail.read(w.core, now, c)
        if self.queued == 0:
            return 0, cost + self.workers * 2 * c.hit
        n = min(f.batch, self.queued // self.workers + 1, self.queued)
        self.queued -= n
        cost += self.head.write(w.core, now + cost, c)
        return n, cost + c.line * (n + 3) / 4  # cells, four a line

    def _worker(self, w):
        f, c = self.flat, self.costs
        yield ("begin",)
        searches = True
        while True:
            n, cost = self._pop(w)
            yield ("run", cost, False)
            if n > 0:
                cost = 0.0
                if searches:
                    self.searching.discard(w.number)
                    searches = False
                    cost += self.sleep_word.write(w.core, self.machine.now, c)
                if self.queued > 0 or n > 1:
                    cost += self._notify(w, self.machine.now + cost)
                cost += n * (f.run + f.lines * c.line)
                yield ("run", cost, False)
                self.done += n
                outside = self.machine.workers[0]
                if self.waits and outside.asleep and self.queued == 0:
                    self.machine.wake(outside)
                    yield ("run", c.call, False)
                continue
            self.counts["missed"] += 1
            if not searches:
                searches = True
                self.searching.add(w.number)
                yield ("run", self.sleep_word.write(w.core, self.machine.now,
                                                    c), False)
                continue
            self.searching.discard(w.number)
            self.idle.add(w.number)
            yield ("run", self.sleep_word.write(w.core, self.machine.now, c),
                   False)
            if self.queued > 0 and w.number in self.idle:
                self.idle.discard(w.number)
                self.searching.add(w.number)
                continue
            yield ("run", c.call, False)
            yield ("sleep",)
