# SPDX-License-Identifier: MIT
"""trees.py - the recursions of bench-scaling, as simulate.py walks them.

A tree says of a node, which is any value: how many nodes are below it, itself
included, and what it does: the calls that it spawns, in that order, and the
one that it makes itself (or None). A worker then walks through a subtree in
one step, and down into it only where another worker takes part. Its span is
the longest way down, where to the second of two children is one step more.
"""
import functools
import hashlib
import math


class Fib:
    """fib(n): spawns n - 1 and calls n - 2."""
    name = "fib"

    def __init__(self, n):
        self.root = n

    @functools.lru_cache(maxsize=None)
    def size(self, n):
        return 1 if n < 2 else 1 + self.size(n - 1) + self.size(n - 2)

    def span(self):
        return self.root

    def calls(self, n):
        return ([], None) if n < 2 else ([n - 1], n - 2)

    def units(self):
        return self.size(self.root) // 2  # forks


class Skynet:
    """Ten children each, down to so many leaves; a node is its leaves."""
    name = "skynet"

    def __init__(self, leaves):
        self.root = leaves

    def size(self, leaves):
        return (10 * leaves - 1) // 9

    def span(self):
        return 10 * (round(math.log10(self.root)) + 1)

    def calls(self, leaves):
        return ([leaves // 10] * 10 if leaves > 1 else [], None)

    def units(self):
        return self.size(self.root)


class Uts:
    """T1 of UTS down to a depth, node for node (Olivier et al., LCPC 2006). A
    node is the first of its places in preorder, where all below it follow."""
    name = "uts-t1"
    SEED, MEAN = 19, 4

    def __init__(self, depth):
        self.limit = depth
        self.sizes, self.below = [], []
        self.root = 0
        self._grow(hashlib.sha1(bytes(16) + self.SEED.to_bytes(4, "big"))
                   .digest())

    def _count(self, state, level):
        if level >= self.limit:
            return 0
        chance = (int.from_bytes(state[16:], "big") & 0x7fffffff) / 2147483648.0
        none = 1.0 / (1.0 + self.MEAN)
        return min(100, int(math.log(1.0 - chance) / math.log(1.0 - none)))

    def _grow(self, state):
        """Preorder, without recursion: sizes are put in on the way back."""
        open_nodes = [[state, 0, self._count(state, 0), 0]]
        self.sizes.append(0)
        self.below.append([])
        while open_nodes:
            at, number, left, done = open_nodes[-1]
            if done == left:
                self.sizes[number] = len(self.sizes) - number
                open_nodes.pop()
                continue
            open_nodes[-1][3] += 1
            child = hashlib.sha1(at + done.to_bytes(4, "big")).digest()
            level = len(open_nodes)
            self.below[number].append(len(self.sizes))
            n = self._count(child, level)
            self.sizes.append(1)
            self.below.append([] if n else ())
            if n:
                open_nodes.append([child, len(self.sizes) - 1, n, 0])

    def size(self, node):
        return self.sizes[node]

    def span(self):
        spans = [1] * len(self.sizes)
        for n in range(len(self.sizes) - 1, -1, -1):
            for i, child in enumerate(self.below[n]):
                spans[n] = max(spans[n], spans[child] + i + 1)
        return spans[0]

    def calls(self, node):
        return (list(self.below[node]), None)

    def units(self):
        return len(self.sizes)
