"""Scores rows with a forest. B rows, C columns, N trees, T tasks."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from automtl.ensemble.forest import Forest
from automtl.ensemble.forest_bits import ADDED, Block, blocks_of
from automtl.ensemble.forest_decisions import Decisions
from automtl.system.threads import in_threads

MANY = 20  # rows that are scored by bits
CHUNK, CHUNK_BITS = 1024, 2**29  # rows that are scored by bits at a time, and bits of their decisions, at most


class ForestScorer:
    """Scores rows with a forest, alone or many at a time, with the same numbers."""

    def __init__(self, forest: Forest) -> None:
        self.forest, self.decisions = forest, Decisions(forest)
        self.children = np.stack([forest.right, forest.left], axis=1).ravel()
        starts, trees = forest.tree_start.astype(np.int64), np.arange(forest.num_trees)
        self.roots = np.where(np.diff(starts) > 0, starts[:-1], -1 - (starts[:-1] + trees))
        self.task_starts = np.searchsorted(forest.tree_task, np.arange(forest.num_tasks + 1))

    @cached_property
    def blocks(self) -> list[Block]:
        """Blocks of trees that are scored by bits, which are made when there are many rows for the first time."""
        return list(blocks_of(self.forest, self.decisions.of_node))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores (B, T), in double, of rows (B, C) float32. Raises ValueError for other types and shapes."""
        if rows.ndim != 2 or rows.shape[1] != self.forest.num_columns or rows.dtype != np.float32:
            raise ValueError(f"a forest of {self.forest.num_columns} columns cannot score {rows.dtype} {rows.shape}")
        if len(rows) < MANY:
            return self.walk(rows)
        chunk = max(8, min(CHUNK, CHUNK_BITS // max(1, len(self.decisions))))
        starts = range(0, len(rows), chunk)
        return np.concatenate(in_threads(lambda start: self.by_bits(rows[start : start + chunk]), starts))

    def by_bits(self, rows: np.ndarray) -> np.ndarray:
        """Score rows by a bit for each of them."""
        columns = np.zeros((rows.shape[1], -(-len(rows) // 8) * 8), np.float32)
        columns[:, : len(rows)] = rows.T
        decided = self.decisions.of_many(columns)
        bits = np.empty((max((block.places for block in self.blocks), default=0), decided.shape[1]), np.uint8)
        scores = np.zeros((self.forest.num_tasks, columns.shape[1]))
        places, leaves = np.empty((ADDED, columns.shape[1]), np.int64), np.empty((ADDED, columns.shape[1]))
        for block in self.blocks:
            numbers = block.reached(decided, bits[: block.places])
            for start, end, task in block.parts:
                block.leaves_of(numbers[start:end], start, places[: end - start], leaves[: end - start])
                leaves[0] += scores[task]  # tree by tree, as the order of a sum is part of it
                np.add.reduce(leaves[: end - start], axis=0, out=scores[task])
        scores += self.forest.bias[:, None]
        return scores[:, : len(rows)].T

    def walk(self, rows: np.ndarray) -> np.ndarray:
        """Score rows by walking all trees level by level."""
        leaves = self.forest.leaf[-1 - self.reached(np.ascontiguousarray(rows.T))]  # (N, B)
        scores = np.empty((len(rows), self.forest.num_tasks))
        for task, (start, end) in enumerate(zip(self.task_starts[:-1], self.task_starts[1:], strict=True)):
            total = np.add.accumulate(leaves[start:end], axis=0)[-1] if end > start else 0.0  # in the order of trees
            scores[:, task] = total + self.forest.bias[task]
        return scores

    def operations_per_row(self, rows: np.ndarray) -> float:
        """Return the nodes that a row (of B, C) passes, each a comparison, and an addition a tree, on average."""
        passed = self.leaf_depths[-1 - self.reached(np.ascontiguousarray(rows.T))]  # (N, B)
        return float(passed.sum(0).mean()) + self.forest.num_trees

    @cached_property
    def leaf_depths(self) -> np.ndarray:
        """The nodes from the root to each leaf, (L,)."""
        found = np.zeros(len(self.forest.leaf), np.int64)
        level, here = 0, self.roots[self.roots >= 0]
        while len(here):
            level += 1
            below = np.concatenate([self.forest.left[here], self.forest.right[here]])
            found[-1 - below[below < 0]] = level
            here = below[below >= 0]
        return found

    def reached(self, columns: np.ndarray) -> np.ndarray:
        """Return the leaves that rows, given as columns (C, B), reach in each tree, (N, B), as children below 0."""
        count = columns.shape[1]
        left = self.decisions.of_few(columns).ravel()
        here = np.repeat(self.roots, count)
        walking = np.flatnonzero(here >= 0)
        row = walking % max(1, count)
        while len(walking):
            node = here[walking]
            node = self.children[2 * node + left[self.decisions.of_node[node] * count + row]]
            here[walking] = node
            going = node >= 0
            walking, row = walking[going], row[going]
        return here.reshape(len(self.roots), count)
