"""Scores many rows with a forest at once: a bit for each row, so that one operation decides for eight rows a byte.

A node has a row of bits: which rows of the table reach it. Those of its left child are these and the bits of its
decision; what is left goes right. So all trees are walked level by level without a branch or a look-up, however deep
each row goes. The leaf that a row reaches is then known by as many bits as its number has.

B rows, W = B / 8 bytes, T trees of a block, L leaves of a tree (the largest one's, rounded up to a power of two).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from automtl.ensemble.forest import Forest
from automtl.ensemble.forest_checks import levels_of

MOST_TREES = 256  # of a block, whose bits stay in cache
ADDED = 32  # trees whose leaves are added at a time
MOST_DIGITS = 8  # of leaves that are numbered by the decisions of levels
SPARE = 4096  # leaves that a block may have for nothing, since its trees differ in size


@dataclass(frozen=True)
class Level:
    """Nodes of a block that are as far from their roots. Places of rows in its bits: those of the nodes are a slice.

    decision, left, right: (nodes,), the decision of each node, and the places of its children.
    """

    start: int
    end: int
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class Digit:
    """One binary digit of the numbers of leaves, where all nodes of a level decide alike; all are (T,).

    turned: 255 where what goes right has a 1, else 0. used: 255 where a tree has so many digits, else 0.
    """

    decision: np.ndarray
    turned: np.ndarray
    used: np.ndarray

    def of(self, decided: np.ndarray) -> np.ndarray:
        """Return the digit of each row, a bit each, (T, W), by decisions (D, W)."""
        found: np.ndarray = decided.take(self.decision, axis=0, mode="clip")
        found ^= self.turned[:, None]
        found &= self.used[:, None]
        return found


@dataclass(frozen=True)
class Block:
    """Some trees that follow one another. `full`: places that all rows reach; `values`: (T * L,) of leaves.

    Bits of leaf l of tree t are at place `nodes + l * T + t`, its value at `t * L + l`. `empty`: places of leaves that
    a tree does not have. `parts`: a few trees of one task each, (first, end, task). `digits`: the lowest
    first; there are some where all nodes of each level decide alike.
    """

    first: int
    trees: int
    leaves: int
    nodes: int
    full: np.ndarray
    empty: np.ndarray
    levels: tuple[Level, ...]
    values: np.ndarray
    parts: tuple[tuple[int, int, int], ...]
    digits: tuple[Digit, ...]

    @property
    def places(self) -> int:
        """Number of rows of bits."""
        return 0 if self.digits else self.nodes + self.trees * self.leaves

    def reached(self, decided: np.ndarray, bits: np.ndarray) -> np.ndarray:
        """Fill bits (places, W) by decisions (D, W); return the number of the leaf that each row reaches, (T, B)."""
        if self.digits:
            return self._joined([digit.of(decided) for digit in self.digits], decided.shape[1])
        bits[self.empty], bits[self.full] = 0, 255
        for level in self.levels:
            here = bits[level.start : level.end]
            left = decided.take(level.decision, axis=0, mode="clip")
            np.bitwise_and(left, here, out=left)
            bits[level.left] = left
            bits[level.right] = np.bitwise_xor(left, here, out=left)
        return self._numbers(bits[self.nodes :].reshape(self.leaves, self.trees, -1))

    def _numbers(self, reached: np.ndarray) -> np.ndarray:
        """Return the place of the only bit of each row among leaves (L, T, W), as (T, B) unsigned numbers."""
        digits = []
        while len(reached) > 1:
            digits.append(np.bitwise_or.reduce(reached[1::2], axis=0))
            reached = reached[0::2] | reached[1::2]
        return self._joined(digits, reached.shape[2])

    def _joined(self, digits: Sequence[np.ndarray], width: int) -> np.ndarray:
        """Join binary digits, each (T, W), the lowest first, to numbers (T, B)."""
        found = np.zeros((self.trees, 8 * width), np.uint8 if self.leaves <= 256 else np.uint32)
        for digit in reversed(digits):
            found += found
            found |= np.unpackbits(digit, axis=1, bitorder="little")
        return found

    def leaves_of(self, numbers: np.ndarray, first: int, places: np.ndarray, out: np.ndarray) -> None:
        """Look up the values of leaves, by numbers (trees, B) of trees from the `first` on; `places`: int64 scratch."""
        offsets = np.arange(first, first + len(numbers))[:, None] * self.leaves
        if self.values.size <= 2**16:
            np.copyto(places, numbers.astype(np.uint16) + offsets.astype(np.uint16))  # adding wide numbers takes longer
        else:
            np.add(numbers, offsets, out=places)
        self.values.take(places, mode="clip", out=out)


def blocks_of(forest: Forest, of_node: np.ndarray) -> Iterator[Block]:
    """Divide a forest, whose nodes make these decisions, into blocks of trees of like sizes."""
    sizes = np.diff(forest.tree_start) + 1
    start = 0
    while start < len(sizes):
        end, most, total = start, 1, 0
        while end < len(sizes) and end - start < MOST_TREES:
            larger, more = max(most, _power(int(sizes[end]))), total + int(sizes[end])
            if end > start and larger * (end - start + 1) > 4 * more + SPARE:
                break
            end, most, total = end + 1, larger, more
        yield _block(forest, of_node, start, end, most)
        start = end


def _power(leaves: int) -> int:
    """Return the smallest power of two that is not below a number."""
    return 1 << (leaves - 1).bit_length()


def _block(forest: Forest, of_node: np.ndarray, first: int, end: int, leaves: int) -> Block:
    starts = forest.tree_start[first : end + 1].astype(np.int64)
    trees, base, nodes = end - first, int(starts[0]), int(starts[-1] - starts[0])
    tree_of_leaf = np.repeat(np.arange(trees), np.diff(starts) + 1)
    number = np.arange(nodes + trees) - (starts[:-1] - base + np.arange(trees))[tree_of_leaf]  # within its tree
    levels = levels_of(starts - base, forest.left[base : base + nodes], forest.right[base : base + nodes], base)
    order = np.concatenate([np.zeros(0, np.int64), *levels])
    place = np.empty(nodes, np.int64)
    place[order] = np.arange(nodes)
    leaf_place = nodes + number * trees + tree_of_leaf

    def places(children: np.ndarray) -> np.ndarray:
        inner, leaf = children - base, -1 - children - base - first
        return np.where(
            children >= 0, place[np.where(children >= 0, inner, 0)], leaf_place[np.where(children < 0, leaf, 0)]
        )

    ends = np.cumsum([len(level) for level in levels])
    made = [
        Level(
            int(stop) - len(level),
            int(stop),
            of_node[base + level],
            places(forest.left[base + level].astype(np.int64)),
            places(forest.right[base + level].astype(np.int64)),
        )
        for level, stop in zip(levels, ends, strict=True)
    ]
    values = np.zeros(trees * leaves)
    values[tree_of_leaf * leaves + number] = forest.leaf[base + first : base + first + nodes + trees]
    single = np.flatnonzero(np.diff(starts) == 0)
    full = np.concatenate([np.arange(len(levels[0]) if levels else 0), nodes + single])
    held = np.zeros(trees * leaves, bool)
    held[leaf_place - nodes] = True
    empty = nodes + np.flatnonzero(~held)
    parts, digits = tuple(_parts(forest.tree_task[first:end])), tuple(_digits(forest, of_node, starts, first))
    return Block(first, trees, leaves, nodes, full, empty, tuple(made), values, parts, digits)


def _digits(forest: Forest, of_node: np.ndarray, starts: np.ndarray, first: int) -> Iterator[Digit]:
    """Yield the digits of trees that start at these nodes; none where some nodes of a level decide otherwise."""
    counts = np.diff(starts)
    depths = np.log2(counts + 1).astype(np.int64)
    most = int(depths.max())
    if most > MOST_DIGITS or (counts + 1 != 1 << depths).any():
        return
    decision, turned, used = np.zeros((3, most, len(counts)), np.int64)
    for depth in set(depths.tolist()) - {0}:
        trees = np.flatnonzero(depths == depth)
        nodes = starts[trees][:, None] + np.arange(counts[trees[0]])
        leaves = (starts[trees] + first + trees)[:, None]  # the first leaf of each tree
        by_right = _by_right(forest.left[nodes], forest.right[nodes], of_node[nodes], nodes[:, :1], leaves)
        if by_right is None:
            return
        tops = (1 << np.arange(depth)) - 1
        decision[:depth, trees], turned[:depth, trees] = (
            of_node[nodes[:, tops]].T,
            np.where(by_right[:, tops], 255, 0).T,
        )
        used[:depth, trees] = 255
    yield from (Digit(*digit) for digit in zip(decision, turned.astype(np.uint8), used.astype(np.uint8), strict=True))


def _by_right(
    left: np.ndarray, right: np.ndarray, decision: np.ndarray, root: np.ndarray, leaf: np.ndarray
) -> np.ndarray | None:
    """Tell at which nodes of trees of one depth what goes right has the digit 1; None where they are no such trees.

    left, right, decision: (trees, nodes). root, leaf: (trees, 1), the first node and leaf. On each level, nodes follow
    one another by the digits before; so do leaves.
    """
    count = left.shape[1]
    place, level = np.arange(count), np.log2(np.arange(count) + 1).astype(np.int64)
    top, last = (1 << level) - 1, level == level[-1]  # the first node of a node's level
    zero, one = (  # the children of digit 0, and of digit 1
        np.where(last, -1 - (leaf + below), root + 2 * top + 1 + below) for below in (place - top, place + 1)
    )
    by_right = (right == one)[:, top]
    fits = (left == np.where(by_right, zero, one)) & (right == np.where(by_right, one, zero))
    return by_right if fits.all() and (decision == decision[:, top]).all() else None


def _parts(tasks: np.ndarray) -> Iterator[tuple[int, int, int]]:
    cuts = {0, *range(0, len(tasks), ADDED), *(1 + np.flatnonzero(np.diff(tasks))).tolist(), len(tasks)}
    for start, end in pairwise(sorted(cuts)):
        yield start, end, int(tasks[start])
