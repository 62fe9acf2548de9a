"""Makes a forest of LightGBM's boosters, which have just been trained here. M nodes of a booster."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from automtl.ensemble.forest import SET_BYTES, ZERO, Forest, Missing

CATEGORICAL, DEFAULT_LEFT, MISSING_SHIFT = 1, 2, 2  # bits of LightGBM's `decision_type`


def forest_of(boosters: Sequence[Any], columns: int) -> Forest:
    """Make a forest of boosters, one for each task, whose inputs have so many columns.

    It decides alike for all float32 inputs, and adds the same leaves in the same order: scores are equal in all bits.
    """
    trees, tasks = list[dict[str, Any]](), list[int]()
    for task, booster in enumerate(boosters):
        found = _trees(booster.model_to_string())
        trees += found
        tasks += [task] * len(found)
    starts = np.concatenate([[0], np.cumsum([len(tree["column"]) for tree in trees])])
    sets = [one for tree in trees for one in tree["sets"]]
    set_starts = np.cumsum([0] + [len(tree["sets"]) for tree in trees])
    for index, tree in enumerate(trees):
        tree["node_set"] = np.where(tree["node_set"] < 0, -1, tree["node_set"] + set_starts[index])
        for side in ("left", "right"):
            inner = tree[side] >= 0
            tree[side] = np.where(inner, tree[side] + starts[index], tree[side] - starts[index] - index)
    nodes = {name: _joined(trees, name, kind) for name, kind in NODE_TYPES.items()}
    return Forest(
        columns=np.array([columns], np.int32), bias=np.zeros(len(boosters)), tree_task=np.array(tasks, np.int32),
        tree_start=starts.astype(np.int32), sets=np.array(sets, np.uint8).reshape(-1, SET_BYTES),
        leaf=_joined(trees, "leaf", np.float64), **nodes,
    )  # fmt: skip


NODE_TYPES: dict[str, Any] = {
    "column": np.int32, "threshold": np.float32, "missing": np.uint8, "default_left": np.bool_, "node_set": np.int32,
    "left": np.int32, "right": np.int32,
}  # fmt: skip


def _joined(trees: Sequence[dict[str, Any]], name: str, kind: Any) -> np.ndarray:
    return np.concatenate([np.zeros(0, kind), *(tree[name].astype(kind) for tree in trees)])


def _trees(model: str) -> list[dict[str, Any]]:
    """Read the trees of LightGBM's text: children below 0 are leaves, counted from -1 on."""
    blocks = model.split("\nend of trees")[0].split("\nTree=")[1:]
    return [_tree(dict(line.split("=", 1) for line in block.splitlines() if "=" in line)) for block in blocks]


def _tree(lines: dict[str, str]) -> dict[str, Any]:
    def numbers(name: str, kind: Any) -> np.ndarray:
        return np.array(lines.get(name, "").split(), kind)

    split = int(lines["num_leaves"]) > 1
    kinds = numbers("decision_type", np.int64) if split else np.zeros(0, np.int64)
    by_set = (kinds & CATEGORICAL) > 0
    threshold = numbers("threshold", np.float64)[: len(kinds)]
    bounds, words = numbers("cat_boundaries", np.int64), numbers("cat_threshold", np.uint32)
    return {
        "column": numbers("split_feature", np.int32)[: len(kinds)],
        "threshold": np.where(by_set, np.float32(0), _rounded(threshold)),
        "missing": np.where(by_set, Missing.NONE, kinds >> MISSING_SHIFT),
        "default_left": ~by_set & ((kinds & DEFAULT_LEFT) > 0),
        "node_set": np.where(by_set, threshold, -1).astype(np.int64),
        "left": numbers("left_child", np.int64)[: len(kinds)],
        "right": numbers("right_child", np.int64)[: len(kinds)],
        "leaf": numbers("leaf_value", np.float64),
        "sets": [_set(words[start:end]) for start, end in pairwise(bounds)],
    }


def _rounded(threshold: np.ndarray) -> np.ndarray:
    """Return the largest float32 numbers that go left.

    LightGBM reads numbers not farther from 0 than `ZERO` as 0.
    """
    with np.errstate(over="ignore"):
        found = threshold.astype(np.float32)
    found = np.where(found > threshold, np.nextafter(found, np.float32(-np.inf)), found)
    tiny = np.abs(threshold) <= ZERO
    below = np.nextafter(-ZERO, np.float32(-np.inf))
    return np.where(tiny, np.where(threshold < 0, below, ZERO), found).astype(np.float32)


def _set(words: np.ndarray) -> np.ndarray:
    """Return a set of ids, 32 in each word, as bytes. Ids are below 256."""
    content = words.astype("<u4").view(np.uint8)
    if content[SET_BYTES:].any():
        raise ValueError("ids that are split by sets must be below 256")
    found = np.zeros(SET_BYTES, np.uint8)
    found[: len(content)] = content[:SET_BYTES]
    return found
