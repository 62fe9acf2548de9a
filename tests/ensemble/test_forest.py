"""A forest is checked when it is read: it is refused by the name of the array that is wrong, or it can be scored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from automtl.ensemble.forest import Forest, from_bytes, to_bytes
from automtl.ensemble.forest_checks import DEPTH
from automtl.ensemble.forest_scorer import MANY, ForestScorer
from automtl.errors import FileError

# Task 0: a tree of nodes 0 and 1, a leaf alone. Task 1: a tree of a set, with a node on each side.
GOOD = Forest(
    columns=np.array([3], np.int32),
    bias=np.array([0.5, -1.0]),
    tree_task=np.array([0, 0, 1], np.int32),
    tree_start=np.array([0, 2, 2, 5], np.int32),
    column=np.array([0, 1, 2, 0, 1], np.int32),
    threshold=np.array([0.5, 2.0, 0.0, -1.0, 3.0], np.float32),
    missing=np.array([0, 2, 0, 1, 2], np.uint8),
    default_left=np.array([0, 1, 0, 0, 0], np.bool_),
    node_set=np.array([-1, -1, 0, -1, -1], np.int32),
    left=np.array([1, -2, 3, -5, -7], np.int32),
    right=np.array([-1, -3, 4, -6, -8], np.int32),
    sets=np.array([[0b101] + [0] * 31], np.uint8),
    leaf=np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]),
)
ROWS = np.array([[0, 1, 0], [1, 0, 1], [0, 5, 2], [-3, np.nan, 2.9], [0, np.nan, np.nan]], np.float32)
SCORES = [[10.5, 31.0], [9.5, 63.0], [12.5, 31.0], [10.5, 15.0], [10.5, 127.0]]


def test_a_row_is_scored_by_the_leaves_that_it_reaches() -> None:
    assert ForestScorer(GOOD)(ROWS).tolist() == SCORES
    assert ForestScorer(GOOD)(np.tile(ROWS, (MANY, 1))).tolist() == SCORES * MANY
    assert GOOD.num_parameters == 13 and (GOOD.num_trees, GOOD.num_tasks, GOOD.num_columns) == (3, 2, 3)


def test_the_operations_of_a_row_are_the_nodes_it_passes_and_a_sum_over_trees() -> None:
    scorer, passed = ForestScorer(GOOD), [4, 3, 4, 4, 4]
    for place, nodes in enumerate(passed):
        assert scorer.operations_per_row(ROWS[place : place + 1]) == nodes + GOOD.num_trees
    assert scorer.operations_per_row(ROWS) == sum(passed) / len(passed) + GOOD.num_trees


def test_a_file_gives_the_forest_back() -> None:
    back = Forest.from_arrays(from_bytes(to_bytes(GOOD.arrays())))
    for name, array in GOOD.arrays().items():
        assert np.array_equal(array, back.arrays()[name]) and array.dtype == back.arrays()[name].dtype
    assert ForestScorer(back)(ROWS).tolist() == SCORES


def changed(name: str, place: Any, value: Any) -> dict[str, np.ndarray]:
    arrays = {key: array.copy() for key, array in GOOD.arrays().items()}
    arrays[name][place] = value
    return arrays


WRONG: list[tuple[str, Any, Any, str]] = [
    ("columns", 0, 0, "'columns' .* outside of 1"),
    ("columns", 0, 2, "'column' .* outside of 0 to 1"),
    ("columns", 0, 2**30, "'columns'"),
    ("bias", 0, np.nan, "'bias' .* not finite"),
    ("tree_task", 0, 1, "'tree_task' .* ascend"),
    ("tree_task", 2, 2, "'tree_task' .* outside of 0 to 1"),
    ("tree_start", 0, 1, "'tree_start'"),
    ("tree_start", 1, 3, "'tree_start'"),
    ("tree_start", 3, 4, "'tree_start'"),
    ("column", 0, -1, "'column' .* outside of 0 to 2"),
    ("threshold", 1, np.nan, "'threshold' .* no numbers"),
    ("threshold", 2, 1.0, "'node_set'"),
    ("missing", 0, 3, "'missing'"),
    ("missing", 2, 1, "'node_set'"),
    ("node_set", 0, 1, "'node_set' .* outside of -1 to 0"),
    ("node_set", 0, -2, "'node_set'"),
    ("left", 0, 0, "behind its parent"),
    ("left", 2, 1, "behind its parent"),
    ("left", 0, 2, "behind its parent"),
    ("left", 1, 0, "behind its parent"),
    ("left", 0, -4, "behind its parent"),
    ("left", 0, -1, "twice, or never"),
    ("right", 2, 3, "twice, or never"),
    ("left", 0, 2**31 - 1, "behind its parent"),
    ("right", 0, -(2**31), "behind its parent"),
    ("leaf", 3, -np.inf, "'leaf' .* not finite"),
]


@pytest.mark.parametrize(("name", "place", "value", "message"), WRONG)
def test_what_cannot_be_scored_is_refused_by_name(name: str, place: Any, value: Any, message: str) -> None:
    with pytest.raises(FileError, match=message):
        Forest.from_arrays(from_bytes(save(changed(name, place, value))))


def test_sets_of_very_many_ids_are_refused() -> None:
    with pytest.raises(FileError, match=r"'sets' of a forest hold 8388864 ids"):
        replace(GOOD, sets=np.full((2**15 + 1, 32), 255, np.uint8))


def test_values_whose_sum_may_not_be_finite_are_refused() -> None:
    with pytest.raises(FileError, match=r"'leaf' .* beyond 1e\+28"):
        replace(GOOD, leaf=np.full(8, 1.1e28))


@pytest.mark.parametrize("name", list(GOOD.arrays()))
def test_other_types_and_shapes_are_refused_by_name(name: str) -> None:
    good = GOOD.arrays()[name]
    wrongs = [good.astype(np.int16), np.stack([good, good]), good[:-1], good.astype(">i4")]
    if name not in ("bias", "sets"):  # more tasks or sets than are used are no mistake
        wrongs.append(np.concatenate([good, good]))
    for wrong in wrongs:
        with pytest.raises(FileError, match="of a forest"):
            Forest.from_arrays(GOOD.arrays() | {name: wrong})
    rest = {key: array for key, array in GOOD.arrays().items() if key != name}
    for arrays in (rest, GOOD.arrays() | {"more": good}):
        with pytest.raises(FileError, match="has the arrays"):
            Forest.from_arrays(from_bytes(save(arrays)))


def chain(levels: int) -> dict[str, np.ndarray]:
    """One tree in which each node's right child is the next one."""
    numbers, zeros = np.arange(levels, dtype=np.int32), np.zeros(levels, np.int32)
    right = np.append(numbers[1:], -1 - levels).astype(np.int32)
    return {
        "columns": np.array([1], np.int32), "bias": np.zeros(1), "tree_task": zeros[:1],
        "tree_start": np.array([0, levels], np.int32), "column": zeros, "threshold": numbers.astype(np.float32),
        "missing": zeros.astype(np.uint8), "default_left": zeros.astype(bool), "node_set": zeros - 1,
        "left": -1 - numbers, "right": right, "sets": np.zeros((0, 32), np.uint8), "leaf": np.arange(levels + 1.0),
    }  # fmt: skip


def test_trees_may_be_deep_but_not_endless() -> None:
    score = ForestScorer(Forest.from_arrays(chain(DEPTH)))
    rows = np.array([[-1.0], [0.5], [300.0], [1e9]], np.float32)
    for times in (1, MANY):
        assert score(np.tile(rows, (times, 1))).ravel().tolist() == [0, 1, 300, DEPTH] * times
    with pytest.raises(FileError, match="more than 512 levels"):
        Forest.from_arrays(chain(100_000))


def test_a_file_that_is_none_is_refused() -> None:
    good = to_bytes(GOOD.arrays())
    for content in (b"", b"\0" * 7, good[:-1], good + b"\0", b"\xff" * 64, (2**62).to_bytes(8, "little") + good[8:]):
        with pytest.raises(FileError, match="no safetensors file"):
            Forest.from_arrays(from_bytes(content))


def require_scores(forest: Forest) -> None:
    """Score rows one by one and all at a time, which is done in two ways."""
    rows = np.random.default_rng(0).choice([0, 1, 2, -3, 0.5, np.nan], (MANY, forest.num_columns)).astype(np.float32)
    score = ForestScorer(forest)
    together = score(rows)
    assert np.isfinite(together).all() and np.array_equal(np.concatenate([score(row[None]) for row in rows]), together)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_forest_with_changed_numbers_is_refused_or_scored(data: st.DataObject) -> None:
    arrays = {name: array.copy() for name, array in GOOD.arrays().items()}
    for _ in range(data.draw(st.integers(1, 3))):
        array = arrays[data.draw(st.sampled_from(sorted(arrays)))]
        place = data.draw(st.integers(0, array.size - 1))
        if array.dtype.kind == "f":
            array.flat[place] = data.draw(st.floats(width=8 * array.itemsize))
        elif array.dtype.kind == "b":
            array.flat[place] = data.draw(st.booleans())
        else:
            limits = np.iinfo(array.dtype)
            near = st.integers(max(-9, limits.min), 9)
            array.flat[place] = data.draw(st.one_of(near, st.integers(limits.min, limits.max)))
    try:
        forest = Forest.from_arrays(from_bytes(save(arrays)))
    except FileError:
        return
    require_scores(forest)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_file_with_changed_bytes_is_refused_or_scored(data: st.DataObject) -> None:
    content = bytearray(to_bytes(GOOD.arrays()))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        forest = Forest.from_arrays(from_bytes(bytes(content)))
    except FileError:
        return
    require_scores(forest)
