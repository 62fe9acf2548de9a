"""Boosted trees as operations of torch, which a program of torch can hold. B rows, N trees, M nodes, C columns."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.ensemble.forest import SET_BYTES, ZERO, Forest, Missing
from automtl.features.batch import Features

IDS = 8 * SET_BYTES  # ids that a set may hold are below


class TorchTrees(nn.Module):
    """Scores rows by walking all trees together, level by level: features -> logits (B, T)."""

    column: Tensor
    threshold: Tensor
    node_set: Tensor
    members: Tensor
    missing: Tensor
    default_left: Tensor
    below: Tensor
    roots: Tensor
    leaf: Tensor
    of_task: Tensor
    bias: Tensor
    table_field: Tensor
    table_start: Tensor
    table_value: Tensor

    def __init__(self, model: BoostedTrees) -> None:
        super().__init__()
        forest, tables = model.forest, model.tables
        self.inputs, self.levels = model.inputs, levels(forest)
        starts, trees = forest.tree_start.astype(np.int64), np.arange(forest.num_trees)
        sets = np.unpackbits(forest.sets, axis=1, bitorder="little").astype(bool)
        arrays = {
            "column": forest.column.astype(np.int64),
            "threshold": forest.threshold,
            "node_set": forest.node_set.astype(np.int64),
            "members": np.concatenate([sets, np.zeros((1, IDS), bool)]),  # the last one stands for no set
            "missing": forest.missing.astype(np.int64),
            "default_left": forest.default_left,
            "below": np.stack([forest.right, forest.left], axis=1).astype(np.int64),
            "roots": np.where(np.diff(starts) > 0, starts[:-1], -1 - (starts[:-1] + trees)),
            "leaf": forest.leaf,
            "of_task": np.eye(forest.num_tasks)[forest.tree_task],  # (N, T)
            "bias": forest.bias,
            "table_field": np.array(model.inputs.kept, np.int64)[tables.table_field],
            "table_start": tables.table_start[:-1],
            "table_value": tables.table_value,
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)).clone(), persistent=True)

    def forward(self, features: Features) -> Tensor:
        matrix = self.inputs.tensor(features)
        if len(self.table_field):
            ids = features.categorical[:, self.table_field]
            matrix = torch.cat([matrix, self.table_value[self.table_start + ids]], dim=1)
        here = self.roots.expand(matrix.shape[0], -1)  # (B, N)
        for _ in range(self.levels):
            node = here.clamp(min=0)
            further = self.below[node, self._goes_left(matrix, node).long()]
            here = torch.where(here < 0, here, further)
        return (self.leaf[-1 - here] @ self.of_task + self.bias).float()

    def _goes_left(self, matrix: Tensor, node: Tensor) -> Tensor:
        """Tell which rows go left at their nodes, (B, N) of both."""
        value, kind = matrix.gather(1, self.column[node]), self.missing[node]
        absent = value.isnan() | ((kind == Missing.ZERO) & (value.abs() <= float(ZERO)))
        plain = torch.where(value.isnan(), 0.0, value)
        left = torch.where(absent & (kind != Missing.NONE), self.default_left[node], plain <= self.threshold[node])
        ids, chosen = plain.trunc(), self.node_set[node]
        known = (ids >= 0) & (ids < IDS) & ~value.isnan()
        held = self.members[chosen, torch.where(known, ids, 0.0).long()] & known
        return torch.where(chosen >= 0, held, left)


def levels(forest: Forest) -> int:
    """Return the most nodes on a way from a root to a leaf."""
    depth = np.ones(len(forest.column), np.int64)
    for node in range(len(depth)):  # a child has a larger number than its parent
        for child in (forest.left[node], forest.right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return int(depth.max(initial=0))
