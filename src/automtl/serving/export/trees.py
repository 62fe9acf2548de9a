"""Boosted trees as operators of ONNX. N rows, C columns of the trees' inputs, T tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.ensemble.forest import Forest, Missing
from automtl.ensemble.tree_inputs import TreeInputs
from automtl.errors import SettingsError
from automtl.serving.export.features import Encoded
from automtl.serving.export.graph import ML, Graph

LEQ, MEMBER = 0, 6  # how a node compares
SUM = 1  # how trees are joined


def tree_logits(graph: Graph, model: BoostedTrees, features: Encoded, numbers: int, lists: int) -> str:
    """Return the logits, (N, T) float32, of trees that read the first `numbers` columns and first `lists`."""
    matrix = tree_matrix(graph, model.inputs, features, numbers, lists)
    return _sums(graph, model.forest, _with_tables(graph, model, features, matrix))


def _with_tables(graph: Graph, model: BoostedTrees, features: Encoded, matrix: str) -> str:
    """Join the columns that are looked up by ids, as in CatBoost's trees, to the inputs of trees."""
    tables = model.tables
    if not tables.num_tables:
        return matrix
    fields = np.array(model.inputs.kept)[tables.table_field]
    ids = graph.op("Gather", features.categorical, graph.constant(fields, np.int64), axis=1)  # (N, tables)
    places = graph.op("Add", ids, graph.constant(tables.table_start[:-1].reshape(1, -1), np.int64))
    looked_up = graph.op("Gather", graph.constant(tables.table_value, np.float32), places)
    return graph.op("Concat", matrix, looked_up, axis=1)


def tree_matrix(graph: Graph, inputs: TreeInputs, features: Encoded, numbers: int, lists: int) -> str:
    """Make the inputs of trees, (N, C) float32, of encoded inputs, as `TreeInputs.matrix` does."""
    kept = graph.op("Gather", features.categorical, graph.constant(inputs.kept, np.int64), axis=1)
    parts = [graph.cast(kept, np.float32)]
    for one, ids in zip(inputs.lists, features.lists[:lists], strict=True):
        given = graph.op("Greater", ids, graph.constant(0, np.int64))  # (N, L)
        if one.length:
            parts.append(_counted(graph, given))
        if one.same is not None:
            own = graph.op("Gather", features.categorical, graph.constant([one.same], np.int64), axis=1)  # (N, 1)
            parts.append(_counted(graph, graph.op("And", graph.op("Equal", ids, own), given)))
        if len(one.values):
            apart = graph.op("Unsqueeze", ids, graph.constant([2], np.int64))  # (N, L, 1)
            found = graph.op("Equal", apart, graph.constant(list(one.values), np.int64))  # (N, L, values)
            held = graph.op("ReduceMax", graph.cast(found, np.float32), graph.constant([1], np.int64), keepdims=0)
            parts.append(held)
    edges = (graph.constant([edge], np.int64) for edge in (0, numbers, 1))
    parts.append(graph.op("Slice", features.numeric, *edges))
    return graph.op("Concat", *parts, axis=1)


def _counted(graph: Graph, true: str) -> str:
    """Count what is true in rows, (N, L), as a column (N, 1) float32."""
    return graph.op("ReduceSum", graph.cast(true, np.float32), graph.constant([1], np.int64), keepdims=1)


def _sums(graph: Graph, forest: Forest, matrix: str) -> str:
    """Sum the leaves of all trees for each task, and add the tasks' biases."""
    from onnx import numpy_helper

    if (forest.missing == Missing.ZERO).any():
        raise SettingsError("trees that take 0 for a missing value cannot be exported; use 'automtl distill'")
    bias = graph.constant(forest.bias.reshape(1, -1), np.float32)
    if not forest.num_trees:
        rows = graph.op("Shape", matrix, start=0, end=1)
        shape = graph.op("Concat", rows, graph.constant([forest.num_tasks], np.int64), axis=0)
        return graph.op("Expand", bias, shape)
    made = Ensemble.of(forest)
    tensors: dict[str, Any] = {
        "nodes_splits": numpy_helper.from_array(np.array(made.splits, np.float32)),
        "nodes_modes": numpy_helper.from_array(np.array(made.modes, np.uint8)),
        "leaf_weights": numpy_helper.from_array(forest.leaf.astype(np.float32)),
    }
    if made.members:
        tensors["membership_values"] = numpy_helper.from_array(np.array(made.members, np.float32))
    tasks = np.repeat(forest.tree_task, np.diff(forest.tree_start) + 1)
    found = graph.op(
        "TreeEnsemble", matrix, domain=ML, n_targets=forest.num_tasks, aggregate_function=SUM, post_transform=0,
        tree_roots=made.roots, nodes_featureids=made.columns, nodes_trueleafs=made.true_leafs,
        nodes_truenodeids=made.true_nodes, nodes_falseleafs=made.false_leafs, nodes_falsenodeids=made.false_nodes,
        nodes_missing_value_tracks_true=made.missing_true, leaf_targetids=tasks.tolist(), **tensors,
    )  # fmt: skip
    return graph.op("Add", found, bias)


@dataclass
class Ensemble:
    """The attributes of the operator TreeEnsemble, whose nodes are in the order of the forest's."""

    roots: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    missing_true: list[int] = field(default_factory=list)
    true_leafs: list[int] = field(default_factory=list)
    true_nodes: list[int] = field(default_factory=list)
    false_leafs: list[int] = field(default_factory=list)
    false_nodes: list[int] = field(default_factory=list)
    members: list[float] = field(default_factory=list)

    @staticmethod
    def of(forest: Forest) -> Ensemble:
        """Write the nodes of a forest; a tree of one leaf gets a node whose both ways lead to it."""
        made = Ensemble()
        for node in range(len(forest.column)):
            made.add(forest, node)
        for tree, (start, end) in enumerate(zip(forest.tree_start[:-1], forest.tree_start[1:], strict=True)):
            made.roots.append(int(start) if end > start else made.leaf(int(start) + tree))
        return made

    def add(self, forest: Forest, node: int) -> None:
        """Add a node."""
        by_set = forest.node_set[node] >= 0
        self.columns.append(int(forest.column[node]))
        self.modes.append(MEMBER if by_set else LEQ)
        self.splits.append(0.0 if by_set else float(forest.threshold[node]))
        # NaN is read as 0 where nothing is missing
        reads_zero = forest.missing[node] == Missing.NONE and not by_set
        way = forest.threshold[node] >= 0.0 if reads_zero else bool(forest.default_left[node]) and not by_set
        self.missing_true.append(int(way))
        self._way(self.true_leafs, self.true_nodes, int(forest.left[node]))
        self._way(self.false_leafs, self.false_nodes, int(forest.right[node]))
        if by_set:
            bits = np.unpackbits(forest.sets[forest.node_set[node]], bitorder="little")
            self.members += [*np.flatnonzero(bits).astype(float).tolist(), np.nan]

    def leaf(self, place: int) -> int:
        """Add a node that leads to a leaf whatever it reads; returns its number."""
        self.columns.append(0)
        self.modes.append(LEQ)
        self.splits.append(0.0)
        self.missing_true.append(1)
        for leafs, nodes in ((self.true_leafs, self.true_nodes), (self.false_leafs, self.false_nodes)):
            leafs.append(1)
            nodes.append(place)
        return len(self.columns) - 1

    @staticmethod
    def _way(leafs: list[int], nodes: list[int], child: int) -> None:
        leafs.append(int(child < 0))
        nodes.append(child if child >= 0 else -1 - child)
