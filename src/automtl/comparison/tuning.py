"""The hyperparameters that all candidates of a comparison are tuned over, and their order (docs/decisions/0014)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid

from automtl.comparison.candidates import changed
from automtl.config import InputPreset, Settings
from automtl.experiment.inputs import is_self_trained

SECTIONS = ("network", "training", "trees")  # sections of settings that tuning and presets change
Point = dict[str, Any]
# A point of the grid: factor of the learning rate, strength of regularization (0: as set), dropout; and normalization,
# whose values take turns along the shuffled points.
GRID = {"learning_rate": [0.5, 1.0, 2.0], "regularized": [-1, 0, 1], "dropped": [0.0, 0.2, 0.4]}
NORMALIZATION = ("layer", "none")

# Tuned settings by place: a function of the default value and a point of the grid. The weight decay of embeddings,
# which presets set, moves by half as much.
SearchSpace = dict[str, Callable[[Any, Point], Any]]
NETWORK: SearchSpace = {
    "training.learning_rate": lambda value, point: value * point["learning_rate"],
    "training.weight_decay": lambda value, point: value * 10 ** point["regularized"],
    "training.embedding_weight_decay": lambda value, point: value * 10 ** (point["regularized"] / 2),
    "network.dropout": lambda value, point: point["dropped"],
    "network.normalization": lambda value, point: point["normalization"],
}
LIGHTGBM: SearchSpace = {
    "trees.learning_rate": lambda value, point: value * point["learning_rate"],
    "trees.leaves": lambda value, point: max(round(value / 2 ** point["regularized"]), 2),
    "trees.column_share": lambda value, point: 1 - point["dropped"],
}


@dataclass(frozen=True)
class Hyperparameters:
    """Input preset and values of the tuned settings, by their places."""

    inputs: InputPreset
    values: dict[str, Any]

    @staticmethod
    def default(settings: Settings, inputs: InputPreset) -> Hyperparameters:
        """Return the values that the settings and the preset say."""
        under = _under(settings, inputs)
        return Hyperparameters(inputs, {place: attrgetter(place)(under) for place in _space(settings)})

    def apply(self, settings: Settings) -> Settings:
        """Return the settings with these values and the preset of the inputs as the only preset."""
        found = _under(settings, self.inputs)
        for place, value in self.values.items():
            found = changed(found, nested(place, value))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: the name of the preset, and the settings by name without their sections."""
        return {"inputs": self.inputs.name} | {place.split(".")[-1]: value for place, value in self.values.items()}


def draw_hyperparameters(settings: Settings, inputs: InputPreset, count: int) -> list[Hyperparameters]:
    """Draw different points of the grid, but the default one, in an order that is the same for all candidates."""
    default, space = Hyperparameters.default(settings, inputs), _space(settings)
    drawn = [default.values]
    for point in _points():
        values = {place: moved(default.values[place], point) for place, moved in space.items()}
        if values not in drawn:
            drawn.append(values)
    return [Hyperparameters(inputs, values) for values in drawn[1:]][:count]


def _points() -> list[Point]:
    """Return all points of the grid in their order, in which no normalization has to wait for another."""
    points = list(ParameterGrid(GRID))
    np.random.RandomState(0).shuffle(points)
    return [
        point | {"normalization": NORMALIZATION[(place + turn) % 2]}
        for turn in range(2)
        for place, point in enumerate(points)
    ]


def nested(place: str, value: Any) -> dict[str, Any]:
    """Return a setting as changes of its sections.

    >>> nested("trees.catboost.depth", 4)
    {'trees': {'catboost': {'depth': 4}}}
    """
    for name in reversed(place.split(".")):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def _under(settings: Settings, inputs: InputPreset) -> Settings:
    """Return the settings with the changes of the preset, and its encoding as the only preset."""
    changes = {section: getattr(inputs, section) for section in SECTIONS}
    return changed(settings, {**changes, "presets": (InputPreset(inputs.name, inputs.encoder),)})


def _space(settings: Settings) -> SearchSpace:
    return LIGHTGBM if is_self_trained(settings.model) else NETWORK
