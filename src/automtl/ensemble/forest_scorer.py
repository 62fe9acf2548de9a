"""Scores rows with a forest. B rows, C columns, N trees, T tasks."""

from __future__ import annotations

import numpy as np

from automtl.ensemble.forest import Forest
from automtl.ensemble.forest_decisions import Decisions

FEW = 2**16  # rows times trees that are walked at a time


class ForestScorer:
    """Scores rows with a forest, alone or many at a time, with the same numbers."""

    def __init__(self, forest: Forest) -> None:
        self.forest, self.decisions = forest, Decisions(forest)
        self.children = np.stack([forest.right, forest.left], axis=1).ravel()
        starts, trees = forest.tree_start.astype(np.int64), np.arange(forest.num_trees)
        self.roots = np.where(np.diff(starts) > 0, starts[:-1], -1 - (starts[:-1] + trees))
        self.task_starts = np.searchsorted(forest.tree_task, np.arange(forest.num_tasks + 1))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores (B, T), in double, of rows (B, C) float32. Raises ValueError for other types and shapes."""
        if rows.ndim != 2 or rows.shape[1] != self.forest.num_columns or rows.dtype != np.float32:
            raise ValueError(f"a forest of {self.forest.num_columns} columns cannot score {rows.dtype} {rows.shape}")
        step = max(1, FEW // max(1, self.forest.num_trees))
        parts = [self.walk(rows[start : start + step]) for start in range(0, len(rows), step)]
        return np.concatenate(parts) if parts else np.zeros((0, self.forest.num_tasks))

    def walk(self, rows: np.ndarray) -> np.ndarray:
        """Score rows by walking all trees level by level."""
        leaves = self.forest.leaf[-1 - self.reached(np.ascontiguousarray(rows.T))]  # (N, B)
        scores = np.empty((len(rows), self.forest.num_tasks))
        for task, (start, end) in enumerate(zip(self.task_starts[:-1], self.task_starts[1:], strict=True)):
            total = np.add.accumulate(leaves[start:end], axis=0)[-1] if end > start else 0.0  # in the order of trees
            scores[:, task] = total + self.forest.bias[task]
        return scores

    def reached(self, columns: np.ndarray) -> np.ndarray:
        """Return the leaves that rows, given as columns (C, B), reach in each tree, (N, B), as children below 0."""
        count = columns.shape[1]
        left = self.decisions.of_few(columns).ravel()
        here = np.repeat(self.roots, count)
        walking = np.flatnonzero(here >= 0)
        row = walking % count if count else walking
        while len(walking):
            node = here[walking]
            node = self.children[2 * node + left[self.decisions.of_node[node] * count + row]]
            here[walking] = node
            going = node >= 0
            walking, row = walking[going], row[going]
        return here.reshape(-1, count)
