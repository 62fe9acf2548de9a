"""All candidates are tuned over the same points."""

from __future__ import annotations

from dataclasses import replace

import pytest

from automtl.comparison.candidates import CANDIDATES
from automtl.comparison.tuning import Hyperparameters, draw_hyperparameters
from automtl.config import DEFAULT_PRESETS, Settings, make_settings
from automtl.experiment.inputs import distinct_presets
from tests.comparison.test_protocol import SCHEMA

RATES, STRONG = DEFAULT_PRESETS[1], DEFAULT_PRESETS[0]


def test_the_default_point_is_what_settings_and_preset_say() -> None:
    settings = make_settings({"training": {"learning_rate": 0.004}, "network": {"dropout": 0.1}})
    point = Hyperparameters.default(settings, STRONG)
    applied = point.apply(settings)
    assert point.to_dict() == {
        "inputs": "all inputs, strong decay", "learning_rate": 0.004, "weight_decay": 1e-5,
        "embedding_weight_decay": 1e-3, "dropout": 0.1, "normalization": "layer",
    }  # fmt: skip
    assert [preset.name for preset in applied.presets] == ["all inputs, strong decay"]
    assert applied.training == replace(settings.training, **STRONG.training)
    assert applied.network == settings.network


def test_drawn_points_differ_from_each_other_and_from_the_default_and_start_alike() -> None:
    few, many = draw_hyperparameters(Settings(), RATES, 3), draw_hyperparameters(Settings(), RATES, 100)
    assert few == many[:3]
    assert len(many) == 53  # of 54 points, without the default
    assert len({tuple(point.values.items()) for point in many}) == 53
    assert draw_hyperparameters(Settings(), RATES, 0) == []


def test_the_points_come_in_the_order_that_published_results_were_made_with() -> None:
    points = [point.to_dict() for point in draw_hyperparameters(Settings(), RATES, 3)]
    names = ("learning_rate", "weight_decay", "dropout", "normalization")
    assert [tuple(point[name] for name in names) for point in points] == [
        (0.0005, pytest.approx(1e-4), 0.0, "layer"), (0.002, pytest.approx(1e-6), 0.4, "none"),
        (0.001, pytest.approx(1e-4), 0.2, "layer"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_can_be_tuned_and_its_settings_stay_valid(name: str) -> None:
    settings = CANDIDATES[name].settings(Settings())
    presets = distinct_presets(settings, SCHEMA)
    points = draw_hyperparameters(settings, presets[0], 26)
    assert len(points) == 26
    for point in points:
        applied = point.apply(settings)
        assert make_settings(applied.to_dict()) == applied
        assert applied.training.learning_rate in (5e-4, 1e-3, 2e-3)
    assert Hyperparameters.default(settings, presets[0]) not in points


def test_trees_are_tuned_by_their_own_settings() -> None:
    settings = make_settings({"model": "lightgbm"})
    trees = [point.apply(settings).trees for point in draw_hyperparameters(settings, RATES, 26)]
    assert {tree.leaves for tree in trees} == {8, 16, 32}
    assert {tree.learning_rate for tree in trees} == {0.0125, 0.025, 0.05}
    assert {tree.column_share for tree in trees} == {1.0, 0.8, 0.6}
    assert {tree.min_leaf_rows for tree in trees} == {20}
