"""All models are tuned over the same points."""

from __future__ import annotations

import pytest

from automtl.comparison.candidates import CONTENDERS
from automtl.comparison.tuning import Tuned, draw, first_points, further_points
from automtl.config import DEFAULT_PRESETS, Settings, make_settings
from automtl.ensemble.settings import TreeSettings
from automtl.experiment.inputs import distinct_presets
from automtl.models.settings import NetworkSettings
from automtl.training.fit import TrainingSettings
from tests.comparison.test_protocol import SCHEMA

RATES, STRONG = DEFAULT_PRESETS[1], DEFAULT_PRESETS[0]


def test_the_first_point_is_the_default_settings_under_the_chosen_inputs() -> None:
    settings = make_settings({"training": {"learning_rate": 0.004}, "network": {"dropout": 0.1}})
    point = first_points(settings, [STRONG, RATES], 6)[0]
    applied = point.apply(settings)
    (preset,) = applied.presets
    assert point.to_dict() == {
        "inputs": "target encoding, strong decay", "learning_rate": 0.004, "weight_decay": 1e-5, "dropout": 0.1,
    }  # fmt: skip
    assert preset.training == STRONG.training | {"learning_rate": 0.004, "weight_decay": 1e-5}
    assert preset.network == {"dropout": 0.1}


def test_the_inputs_are_tried_first_and_no_more_than_the_trials() -> None:
    assert [point.inputs for point in first_points(Settings(), DEFAULT_PRESETS, 2)] == list(DEFAULT_PRESETS[:2])


def test_further_points_differ_from_each_other_and_from_the_default_and_start_alike() -> None:
    few, many = further_points(Settings(), RATES, 3), further_points(Settings(), RATES, 100)
    assert few == many[:3]
    assert len(many) == 26  # of 27 points, without the default
    assert len({tuple(point.values.items()) for point in many}) == 26
    assert further_points(Settings(), RATES, 0) == []


def test_drawing_is_the_same_every_time() -> None:
    assert draw(5) == draw(5)


@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_can_be_tuned_and_its_settings_stay_valid(name: str) -> None:
    settings = CONTENDERS[name].settings(Settings())
    presets = distinct_presets(settings, SCHEMA)
    points = further_points(settings, presets[0], 26)
    assert len(points) == 26
    for point in points:
        (preset,) = point.apply(settings).presets
        NetworkSettings(**preset.network)
        training = TrainingSettings(**preset.training)
        assert training.learning_rate in (5e-4, 1e-3, 2e-3)
    assert Tuned.default(settings, presets[0]) not in points


def test_trees_are_tuned_by_their_own_settings() -> None:
    settings = make_settings({"model": "lightgbm"})
    trees = [TreeSettings(**point.apply(settings).presets[0].trees) for point in further_points(settings, RATES, 26)]
    assert {tree.leaves for tree in trees} == {8, 16, 32}
    assert {tree.learning_rate for tree in trees} == {0.0125, 0.025, 0.05}
    assert {tree.column_share for tree in trees} == {1.0, 0.8, 0.6}
    assert {tree.min_leaf_rows for tree in trees} == {20}
