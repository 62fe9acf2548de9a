"""Boosted trees in ONNX reach the leaves that they reach here, whatever the inputs are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.ensemble.catboost_trees import CatBoostTrees
from automtl.ensemble.forest import Forest, Missing
from automtl.ensemble.forest_scorer import ForestScorer
from automtl.ensemble.settings import CatBoostSettings, TreeSettings
from automtl.ensemble.trees import TreeModel
from automtl.features.batch import Batch
from automtl.models.settings import NetworkSettings
from automtl.serving.export.check import session_of
from automtl.serving.export.features import Encoded
from automtl.serving.export.graph import Graph
from automtl.serving.export.network import Part, traced
from automtl.serving.export.onnx_file import serialized
from automtl.serving.export.torch_trees import TorchTrees
from automtl.serving.export.trees import tree_logits, tree_matrix
from automtl.system.progress import ignore
from automtl.testing.examples import small_batch, small_layout


@pytest.fixture(scope="module")
def trees() -> TreeModel:
    """Trees that split by sets of ids, lists, and numbers."""
    model = TreeModel(small_layout(), NetworkSettings(), torch.Generator(), TreeSettings(rounds=30, learning_rate=0.3))
    rows = _learnable(small_batch(4000, seed=1))
    model.learn(rows, _learnable(small_batch(500, seed=2)), 0, ignore, "trees")
    assert (model.forest.node_set >= 0).any() and model.forest.num_trees > 20
    return model


def _learnable(rows: Batch) -> Batch:
    """Make the labels of a batch depend on ids, lists and numbers."""
    features = rows.features
    hints = torch.stack(
        [features.categorical[:, 0] % 3, (features.multi[0] == 4).sum(dim=1), features.numeric[:, 0] > 0.3], dim=1
    )
    noise = torch.rand(hints.shape, generator=torch.Generator().manual_seed(3))
    return replace(rows, labels=((hints.float() + noise) > 1.2).float(), mask=torch.ones_like(rows.mask))


def session(model: BoostedTrees) -> Any:
    """Load a graph of encoded inputs, which returns the trees' inputs and logits."""
    graph, layout = Graph(), small_layout()
    lists = tuple(
        graph.input(f"list.{place}", np.int64, ["rows", f"l{place}"], "") for place in range(len(layout.lists))
    )
    features = Encoded(
        graph.input("categorical", np.int64, ["rows", 2], ""),
        graph.input("numeric", np.float32, ["rows", 3], ""),
        lists,
    )
    graph.output("matrix", tree_matrix(graph, model.inputs, features, 3, len(lists)), np.float32, ["rows", "columns"])
    graph.output("logits", tree_logits(graph, model, features, 3, len(lists)), np.float32, ["rows", "tasks"])
    return session_of(serialized(graph.model({}, "trees")))


def feed(rows: Batch) -> dict[str, np.ndarray]:
    features = rows.features
    lists = {f"list.{place}": ids.numpy().astype(np.int64) for place, ids in enumerate(features.multi)}
    return {"categorical": features.categorical.numpy(), "numeric": features.numeric.numpy(), **lists}


def hostile(rows: Batch, thresholds: np.ndarray) -> Batch:
    """Put thresholds, their neighbours, and huge numbers into the numbers of a batch."""
    rng = np.random.default_rng(0)
    near = np.concatenate([thresholds, *(np.nextafter(thresholds, np.float32(way)) for way in (-np.inf, np.inf))])
    values = np.concatenate([near, np.array([0, -0.0, 1e30, -1e30, 1e-45, 3.4e38], np.float32)])
    numbers = torch.from_numpy(rng.choice(values, tuple(rows.features.numeric.shape)).astype(np.float32))
    return replace(rows, features=replace(rows.features, numeric=numbers))


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_leaves_are_the_same(trees: TreeModel, rows: int) -> None:
    numeric = trees.forest.column >= trees.inputs.width - 3
    thresholds = trees.forest.threshold[numeric & (trees.forest.node_set < 0)]
    for batch in (small_batch(rows, seed=5), hostile(small_batch(rows, seed=6), thresholds)):
        matrix, logits = session(trees).run(None, feed(batch))
        assert np.array_equal(matrix, trees.inputs.matrix(batch.features))
        np.testing.assert_allclose(logits, trees(batch.features).numpy(), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(TorchTrees(trees)(batch.features), trees(batch.features), rtol=1e-6, atol=1e-7)


def test_trees_of_one_leaf_and_tasks_without_trees(trees: TreeModel) -> None:
    one = Forest(
        np.array([trees.inputs.width], np.int32), np.array([0.5, -0.25, 2.0]), np.array([0, 0, 2], np.int32),
        np.array([0, 0, 1, 1], np.int32), np.array([1], np.int32), np.array([2.5], np.float32), np.array([2], np.uint8),
        np.array([False]), np.array([-1], np.int32), np.array([-2], np.int32), np.array([-3], np.int32),
        np.zeros((0, 32), np.uint8), np.array([0.125, 1.0, -1.0, 4.0]),
    )  # fmt: skip
    model = TreeModel(small_layout(), NetworkSettings(), torch.Generator())
    model.scorer = ForestScorer(one)
    batch = small_batch(9)
    _, logits = session(model).run(None, feed(batch))
    assert np.array_equal(logits, model(batch.features).numpy())
    layout, few = small_layout(), small_batch(1).features
    program = traced([Part(TorchTrees(model), layout.num_numeric, len(layout.lists))], layout).module()
    for features in (batch.features, few):
        (logits_of_torch,) = program(features.categorical, features.numeric, [ids.long() for ids in features.multi])
        assert torch.equal(logits_of_torch, model(features))
    assert set(logits[:, 0].tolist()) == {1.625, -0.375} and (logits[:, 1:] == [-0.25, 6.0]).all()


def test_trees_of_catboost_look_up_what_is_known_of_ids() -> None:
    pytest.importorskip("catboost")
    chosen = TreeSettings(rounds=30, catboost=CatBoostSettings(learning_rate=0.2, depth=4, column_share=1.0, one_hot=4))
    model = CatBoostTrees(small_layout(), NetworkSettings(), torch.Generator(), chosen)
    model.learn(_learnable(small_batch(4000, seed=1)), _learnable(small_batch(500, seed=2)), 0, ignore, "trees")
    assert model.tables.num_tables
    batch = small_batch(300, seed=4)
    _, logits = session(model).run(None, feed(batch))
    np.testing.assert_allclose(logits, model(batch.features).numpy(), rtol=0, atol=1e-5)
    torch.testing.assert_close(TorchTrees(model)(batch.features), model(batch.features), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("missing", list(Missing))
def test_values_that_are_missing_go_the_same_way_in_torch(trees: TreeModel, missing: Missing) -> None:
    """Numbers of histories come from a client, and may be NaN."""
    forest = trees.forest
    kinds = np.where(forest.node_set < 0, np.uint8(missing), forest.missing).astype(np.uint8)
    ways = np.arange(len(kinds)) % 2 == 0
    model = TreeModel(small_layout(), NetworkSettings(), torch.Generator())
    model.scorer = ForestScorer(replace(forest, missing=kinds, default_left=np.where(forest.node_set < 0, ways, False)))
    batch = hostile(small_batch(200, seed=8), np.array([np.nan, 0.0, 1e-36, -1e-36, 2.0], np.float32))
    torch.testing.assert_close(TorchTrees(model)(batch.features), model(batch.features), rtol=1e-6, atol=1e-7)
    if missing is not Missing.ZERO:
        _, logits = session(model).run(None, feed(batch))
        np.testing.assert_allclose(logits, model(batch.features).numpy(), rtol=1e-6, atol=1e-6)
