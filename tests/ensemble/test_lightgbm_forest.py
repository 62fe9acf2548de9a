"""A forest of LightGBM's boosters scores all rows as they do, in all bits, however strange the rows are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from automtl.ensemble.forest import Forest, Missing
from automtl.ensemble.forest_scorer import ForestScorer
from automtl.ensemble.lightgbm_forest import forest_of

lightgbm = pytest.importorskip("lightgbm")

HOSTILE = [
    np.nan, np.inf, -np.inf, -1, -0.5, 0.5, 2.7, -0.0, 1e-36, -1e-36, 1e-35, -1e-35, 1e-34, 1e-45, 3e38, 31, 32, 63.9,
    64, 255, 256, 300, 2.0**31, -(2.0**31), 2.0**63, 1e30,
]  # fmt: skip
COLUMNS = 6  # the first two are ids
KINDS: dict[str, dict[str, Any]] = {
    "binary": {"objective": "binary"},
    "regression": {"objective": "regression", "num_leaves": 31},
    "weighted": {"objective": "binary", "weights": True, "num_leaves": 7},
    "no signal": {"objective": "binary", "min_data_in_leaf": 5000},
    "zeros are missing": {"objective": "regression", "zero_as_missing": True},
    "nothing is missing": {"objective": "regression", "use_missing": False},
    "stumps": {"objective": "binary", "num_leaves": 2},
    "deep": {"objective": "regression", "num_leaves": 300, "min_data_in_leaf": 1, "num_iterations": 3},
}


def inputs(count: int, seed: int = 0, strange: float = 0.1) -> np.ndarray:
    """Ids, counts and numbers, of which some are missing or zero, and a share is as strange as can be."""
    random = np.random.default_rng(seed)
    ids = random.integers(0, (64, 5), (count, 2))
    numbers = random.normal(size=(count, COLUMNS - 3)) * random.choice(
        [0, 1, np.nan], (count, COLUMNS - 3), p=[0.2, 0.7, 0.1]
    )
    found = np.column_stack([ids, random.poisson(1, count), numbers]).astype(np.float32)
    return np.where(random.random(found.shape) < strange, random.choice(HOSTILE, found.shape), found).astype(np.float32)


def boosted(kind: str, seed: int = 0) -> Any:
    options = {"num_iterations": 20, "num_leaves": 16, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    options |= KINDS[kind] | {"seed": seed}
    random, rows = np.random.default_rng(seed), inputs(1500, seed, strange=0.0)
    score = (
        (rows[:, 0] % 3)
        + np.nan_to_num(rows[:, 3]) * (rows[:, 1] > 2)
        + np.isnan(rows[:, 4])
        + random.normal(size=1500)
    )
    labels = score > 2 if options["objective"] == "binary" else score
    weights = 1 + 9 * (labels > 1) if options.pop("weights", False) else None
    data = lightgbm.Dataset(rows, labels.astype(float), weight=weights, categorical_feature=[0, 1])
    return lightgbm.train(options, data)


def scores(boosters: list[Any], rows: np.ndarray) -> np.ndarray:
    return np.stack([one.predict(rows, raw_score=True, num_threads=1) for one in boosters], axis=1)


@pytest.fixture(scope="module")
def boosters() -> list[Any]:
    return [boosted(kind, seed) for seed, kind in enumerate(KINDS)]


@pytest.fixture(scope="module")
def forest(boosters: list[Any]) -> Forest:
    return forest_of(boosters, COLUMNS)


def test_all_kinds_of_decisions_are_among_those_that_are_tested(forest: Forest) -> None:
    assert set(forest.missing) == set(Missing) and set(forest.default_left) == {False, True}
    assert len(forest.sets) > 10 and (np.diff(forest.tree_start) == 0).any() and forest.num_tasks == len(KINDS)


@pytest.mark.parametrize("strange", [0.0, 0.1, 1.0])
def test_scores_are_those_of_the_boosters_in_all_bits(boosters: list[Any], forest: Forest, strange: float) -> None:
    rows = inputs(3000, 99, strange)
    assert np.array_equal(ForestScorer(forest)(rows), scores(boosters, rows))


def test_every_strange_value_in_every_column_is_scored_alike(boosters: list[Any], forest: Forest) -> None:
    cuts = np.unique(np.concatenate([forest.threshold, HOSTILE])).astype(np.float32)
    for column in range(COLUMNS):
        rows = np.repeat(inputs(1, 7, 0.0), 3 * len(cuts), axis=0)
        rows[:, column] = np.concatenate(
            [cuts, np.nextafter(cuts, np.float32(-np.inf)), np.nextafter(cuts, np.float32(np.inf))]
        )
        assert np.array_equal(ForestScorer(forest)(rows), scores(boosters, rows))


@pytest.mark.parametrize("step", [1, 3, 8, 100, 2047, 2048])
def test_pieces_are_scored_as_the_whole_is(forest: Forest, step: int) -> None:
    rows, score = inputs(4500, 5)[: 4500 if step > 8 else 200], ForestScorer(forest)
    parts = [score(rows[start : start + step]) for start in range(0, len(rows), step)]
    assert np.array_equal(np.concatenate(parts), score(rows))


def test_trees_of_one_booster_alone_score_as_among_others(boosters: list[Any], forest: Forest) -> None:
    rows = inputs(300, 3)
    for task, booster in enumerate(boosters):
        assert np.array_equal(
            ForestScorer(forest_of([booster], COLUMNS))(rows)[:, 0], ForestScorer(forest)(rows)[:, task]
        )


def test_no_rows_have_no_scores(forest: Forest) -> None:
    assert ForestScorer(forest)(inputs(0)).shape == (0, len(KINDS))


def test_rows_of_other_columns_are_refused(forest: Forest) -> None:
    for rows in (inputs(3)[:, 1:], inputs(3).astype(np.float64), inputs(3)[0]):
        with pytest.raises(ValueError, match="6 columns"):
            ForestScorer(forest)(rows)


def test_ids_beyond_what_a_set_can_hold_are_refused() -> None:
    rows = np.random.default_rng(0).integers(0, 400, (4000, 1)).astype(np.float32)
    data = lightgbm.Dataset(rows, (rows[:, 0] > 300).astype(float), categorical_feature=[0])
    booster = lightgbm.train({"verbosity": -1, "num_iterations": 3, "max_bin": 1000, "num_threads": 1}, data)
    with pytest.raises(ValueError, match="below 256"):
        forest_of([booster], 1)
