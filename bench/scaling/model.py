# SPDX-License-Identifier: MIT
"""model.py - P workers on C cores, as a simulation of discrete events.

    Machine   cores, time slices, who is ready; sleeping and waking
    Line      a cache line that several cores use: who has it, who waits for it
    Call      a shunt_fork at work: what is private, offered, taken
    Forks     the workers, as worker/loop.c, find.c and frames.c have them

A worker is a generator. It yields ("run", ns, may_be_interrupted) or
("sleep",) and is sent how much CPU time that took. What costs time is a node
of the tree, a line that another core has, a system call, a wake-up; each from
Costs. A line is in one place at a time, so that many who want it stand in a
queue: this is what is contended in the model, and nothing else is.
"""
import collections
import dataclasses
import heapq
import random


@dataclasses.dataclass(frozen=True)
class Costs:
    """Nanoseconds."""
    node: float = 2.8          # of the tree, without any other worker
    line: float = 200.0        # of a line from another core
    hit: float = 1.5           # of one that is here
    rmw: float = 6.0           # an atomic change of one that is here
    take: float = 250.0        # of a taken call: its record, its task, its end
    take_lines: int = 9        # that go along and back: slot, frame, run, record
    switch: float = 60.0       # of stacks
    offer: float = 12.0        # of spawning slowly
    look: float = 4000.0       # 200 pauses before who waits for a call parks
    call: float = 1000.0       # a futex system call
    wake: float = 20000.0      # until a sleeper runs
    slice: float = 3000000.0   # the kernel's


class Line:
    """A cache line: of one core that has written it, or of all that have read
    it since."""

    def __init__(self, kind, stats):
        self.owner, self.readers = None, set()
        self.free_at = 0.0
        self.stats = stats.setdefault(kind, [0, 0.0, 0.0])

    def _fetch(self, core, now, cost):
        begin = max(now, self.free_at)
        self.free_at = begin + cost
        self.stats[0] += 1
        self.stats[1] += begin - now  # waited
        self.stats[2] += cost         # busy
        return begin + cost - now

    def read(self, core, now, costs):
        if core in self.readers:
            return costs.hit
        took = self._fetch(core, now, costs.line)
        self.readers.add(core)
        return took

    def write(self, core, now, costs):
        if self.readers == {core}:
            return costs.rmw
        took = self._fetch(core, now, costs.line)
        self.readers = {core}
        return took + costs.rmw


class Worker:
    def __init__(self, number):
        self.number = number
        self.core = None
        self.need = 0.0       # CPU time to the end of what it yielded
        self.spent = 0.0      # of that, before this turn on a core
        self.since = 0.0      # when this turn began
        self.version, self.turn = 0, 0
        self.open = False     # it may be interrupted
        self.asleep = False
        self.wakes = False    # somebody has woken it
        self.resumed = collections.deque()
        self.gen = None


class Machine:
    def __init__(self, workers, cores, costs):
        self.now, self.events, self.sequence = 0.0, [], 0
        self.costs, self.cores = costs, cores
        self.workers = [Worker(i) for i in range(workers)]
        self.idle_cores = list(range(cores - 1, -1, -1))
        self.ready = collections.deque()
        self.over = False

    def _at(self, when, what, w):
        self.sequence += 1
        stamp = w.turn if what == "slice" else w.version
        heapq.heappush(self.events, (when, self.sequence, what, w, stamp))

    def _dispatch(self):
        while self.idle_cores and self.ready:
            w = self.ready.popleft()
            w.core = self.idle_cores.pop()
            w.since = self.now
            w.version += 1
            w.turn += 1
            self._at(self.now + w.need, "step", w)
            if self.cores < len(self.workers):
                self._at(self.now + self.costs.slice, "slice", w)

    def _leave(self, w):
        self.idle_cores.append(w.core)
        w.core = None
        w.version += 1
        w.turn += 1

    def _step(self, w):
        spent = w.spent + self.now - w.since
        while True:
            what = w.gen.send(spent)
            if what[0] == "sleep":
                if w.wakes:
                    w.wakes, spent = False, 0.0
                    continue
                w.asleep = True
                self._leave(w)
                return
            w.need, w.open = what[1], what[2]
            w.spent, w.since = 0.0, self.now
            w.version += 1
            self._at(self.now + w.need, "step", w)
            return

    def interrupt(self, w):
        """What it yielded is over now, if that may be."""
        if not w.open or w.asleep:
            return
        w.open = False
        if w.core is None:
            w.need = 0.0
            return
        w.spent += self.now - w.since
        w.since = self.now
        w.version += 1
        self._at(self.now, "step", w)

    def wake(self, w):
        """It will run, later; nothing if it does not sleep yet: it looks."""
        if not w.asleep:
            w.wakes = True
            return
        w.asleep = False
        w.need, w.spent = 0.0, 0.0
        late = self.costs.wake if self.idle_cores else self.costs.call
        self._at(self.now + late, "ready", w)

    def run(self, limit_ns):
        for w in self.workers:
            w.gen.send(None)
            w.asleep = True
        self.workers[0].asleep = False
        self.ready.append(self.workers[0])
        self._dispatch()
        while self.events and not self.over:
            self.now, _, what, w, stamp = heapq.heappop(self.events)
            if self.now > limit_ns:
                break
            if what == "ready":
                self.ready.append(w)
            elif stamp != (w.turn if what == "slice" else w.version):
                continue
            elif what == "step":
                self._step(w)
            elif self.ready:  # its slice is over, and others wait
                w.need -= self.now - w.since
                w.spent += self.now - w.since
                self._leave(w)
                self.ready.append(w)
            else:
                self._at(self.now + self.costs.slice, "slice", w)
            self._dispatch()
        return self.now


class Frame:
    __slots__ = ("node", "by", "done")

    def __init__(self, node):
        self.node, self.by, self.done = node, None, False


class Call:
    """A root or a taken call, with the deque of what it has spawned:
    frames[:taken] are others', then come `offered` ones, then private ones."""

    def __init__(self, node, parent, frame, stats):
        self.frames, self.taken, self.offered = [], 0, 0
        self.at = node           # what it runs, or None
        self.parent, self.frame = parent, frame
        self.worker, self.waits, self.parked = None, False, False
        self.asked, self.eager, self.debt = True, 0, 0.0
        self.ends = Line("ends", stats)
        self.limit = Line("limit", stats)


class Forks:
    EAGER, SPINS = 16, 4

    def __init__(self, tree, workers, cores, costs, seed=1, searchers=1,
                 deaf=False):
        self.tree, self.costs = tree, costs
        self.machine = Machine(workers, cores, costs)
        self.random = random.Random(seed)
        self.lines = {}
        self.sleep_word = Line("sleep", self.lines)
        self.calls = []          # those that have a deque
        self.idle, self.searching = set(range(1, workers)), set()
        self.counts = collections.Counter()
        self.spent = collections.Counter()  # ns of CPU time, by what for
        self.ran = 0             # nodes
        self.searchers = searchers  # so many at most are woken to search
        self.deaf = deaf         # nobody offers anything: to be found out
        for w in self.machine.workers:
            w.gen = self._worker(w)

    def run(self, limit_ns=float("inf")):
        return self.machine.run(limit_ns)

    # -- the owner --

    def _work(self, call):
        """Of what is private, in nodes."""
        own = sum(self.tree.size(f.node)
                  for f in call.frames[call.taken + call.offered:])
        return own + (self.tree.size(call.at) if call.at is not None else 0)

    def _next(self, call):
        """Have it run its newest private frame, if there is one."""
        if call.at is None and len(call.frames) > call.taken + call.offered:
            call.at = call.frames.pop().node
        return call.at is not None

    def _advance(self, call, ns):
        """That much CPU time has gone into what is private."""
        left = ns / self.costs.node - call.debt
        call.debt = 0.0
        while left > 0 and self._next(call):
            size = self.tree.size(call.at)
            if size <= left + 1e-6:
                call.at = None
                self.ran += size
                left -= size
            else:
                spawned, call.at = self.tree.calls(call.at)
                call.frames += [Frame(n) for n in spawned]
                self.ran += 1
                left -= 1
        if left < 0:
            call.debt = -left

    def _offer(self, w, call):
        """Somebody has asked: the next spawns let others in. What it costs."""
        c, now = self.costs, self.machine.now
        begun, cost = self.ran, 0.0
        if call.asked:
            cost = call.limit.write(w.core, now, c)
            call.asked = False
            call.eager = 0 if self.deaf else self.EAGER + 1
        while call.eager > 0 and self._next(call):
            spawned, call.at = self.tree.calls(call.at)
            self.ran += 1
            cost += c.node
            for node in spawned:
                call.frames.append(Frame(node))
                if call.eager == 0:
                    continue
                call.eager -= 1
                n = len(call.frames) - call.taken - call.offered
                call.offered += (n + 1) // 2
                self.counts["offered"] += 1
                cost += c.offer + call.ends.write(w.core, now + cost, c)
                cost += self._notify(w, now + cost)
        self.spent["work"] += (self.ran - begun) * c.node
        self.spent["offer"] += cost - (self.ran - begun) * c.node
        return cost

    def _notify(self, w, now):
        cost = self.sleep_word.read(w.core, now, self.costs)
        if len(self.searching) >= self.searchers or not self.idle:
            return cost
        return cost + self._rouse(w, min(self.idle), now + cost)

    def _rouse(self, w, number, now):
        """One that is idle becomes one that searches."""
        self.idle.discard(number)
        self.searching.add(number)
        self.counts["woken"] += 1
        self.machine.wake(self.machine.workers[number])
        return self.costs.call + self.sleep_word.write(w.core, now, self.costs)

    def _reclaim(self, w, call):
        """Half of what was offered is private again."""
        call.offered = (call.offered - 1) // 2
        return call.ends.write(w.core, self.machine.now, self.costs)

    def _run(self, w, call):
        """Until it has ended (True), or waits for a call (False)."""
        c = self.costs
        call.worker, call.waits = w, False
        while True:
            if (call.asked or call.eager) and self._next(call):
                yield ("run", self._offer(w, call), False)
            elif self._work(call) > 0:
                spent = yield ("run", (self._work(call) + call.debt) * c.node,
                               True)
                self.spent["work"] += spent
                self._advance(call, spent)
            elif call.offered > 0:
                yield ("run", self._reclaim(w, call), False)
            elif call.taken > 0:
                if not call.frames[call.taken - 1].done:
                    call.waits = True
                    self.spent["wait"] += yield ("run", c.look, True)
                    if not call.frames[call.taken - 1].done:
                        return False
                    call.waits = False
                call.frames.pop()
                call.taken -= 1
                yield ("run", c.rmw + c.line, False)
            else:
                return True

    def _end(self, w, call):
        self.calls.remove(call)
        if call.parent is None:
            self.machine.over = True
            return 0.0
        call.frame.done = True
        parent, owner = call.parent, call.parent.worker
        if not parent.waits or parent.frames[parent.taken - 1] is not call.frame:
            return 0.0
        if not parent.parked:
            self.machine.interrupt(owner)  # it looks
            return 0.0
        parent.parked = False
        owner.resumed.append(parent)
        if owner.number not in self.idle:
            return 0.0
        return self._rouse(w, owner.number, self.machine.now)

    # -- the thief --

    def _scan(self, w):
        """Look at all: a call that has something, or None; and the cost."""
        c, now, cost = self.costs, self.machine.now, 0.0
        first = self.random.randrange(max(1, len(self.calls)))
        cost += 2 * c.hit * len(self.machine.workers)  # their deques
        for k in range(len(self.calls)):
            call = self.calls[(first + k) % len(self.calls)]
            cost += call.ends.read(w.core, now + cost, c)
            if call.offered > 0:
                self.spent["look"] += cost
                return call, cost
            if not call.asked:
                call.asked = True
                cost += call.limit.write(w.core, now + cost, c)
                if call.worker is not None:
                    self.machine.interrupt(call.worker)
        self.spent["look"] += cost
        return None, cost

    def _find(self, w):
        """A call that was taken, or None."""
        c = self.costs
        self.counts["searched"] += 1
        for _ in range(len(self.calls) + 1):
            victim, cost = self._scan(w)
            yield ("run", cost, False)
            if victim is None:
                break
            self.spent["take"] += yield (
                "run", victim.ends.write(w.core, self.machine.now, c), False)
            if victim.offered == 0:
                self.counts["lost"] += 1
                continue
            victim.offered -= 1
            frame = victim.frames[victim.taken]
            victim.taken += 1
            self.counts["stolen"] += 1
            if victim.offered == 0 and self.idle:
                victim.asked = True
                self.machine.interrupt(victim.worker)
            call = Call(frame.node, victim, frame, self.lines)
            call.worker = w
            self.calls.append(call)
            self.spent["take"] += yield (
                "run", c.take + c.take_lines * c.line, False)
            return call
        self.counts["missed"] += 1
        return None

    def _idle(self, w):
        """Until there is something to do: a call, or None."""
        c, number = self.costs, w.number
        woken = number in self.searching  # for the first time
        if not woken:
            self.searching.add(number)
            yield ("run", self.sleep_word.write(w.core, self.machine.now, c),
                   False)
        while True:
            found = None
            for _ in range(self.SPINS):
                victim, cost = self._scan(w)
                yield ("run", cost + 20, False)
                if victim is not None:
                    found = yield from self._find(w)
                if found is not None or w.resumed:
                    break
            if found is None and not w.resumed:
                found = yield from self._find(w)
            if found is not None or w.resumed:
                break
            self.counts["vain"] += woken
            self.searching.discard(number)
            self.idle.add(number)
            yield ("run", self.sleep_word.write(w.core, self.machine.now, c),
                   False)
            victim, cost = self._scan(w)
            yield ("run", cost, False)
            if victim is not None or w.resumed:
                self.idle.discard(number)
                self.searching.add(number)
                w.wakes = False
                yield ("run", self.sleep_word.write(w.core, self.machine.now,
                                                    c), False)
                continue
            self.counts["slept"] += 1
            yield ("run", c.call, False)
            yield ("sleep",)
            woken = True
        self.searching.discard(number)
        cost = self.sleep_word.write(w.core, self.machine.now, c)
        if len(self.searching) < self.searchers and self.idle:
            victim, more = self._scan(w)
            cost += more
            if victim is not None:
                cost += self._notify(w, self.machine.now + cost)
        yield ("run", cost, False)
        return found

    def _worker(self, w):
        yield ("begin",)
        if w.number == 0:
            call = Call(self.tree.root, None, None, self.lines)
            self.calls.append(call)
        else:
            call = yield from self._idle(w)
        while True:
            if call is None and not w.resumed:
                call = yield from self._find(w)
            if call is None and not w.resumed:
                call = yield from self._idle(w)
            if call is None and w.resumed:
                call = w.resumed.popleft()
                yield ("run", self.costs.switch, False)
            if call is None:
                continue
            if (yield from self._run(w, call)):
                cost = self._end(w, call)
            else:
                call.parked = True
                self.counts["parked"] += 1
                cost = self.costs.switch
            call = None
            yield ("run", cost, False)
