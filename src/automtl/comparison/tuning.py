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
Point = dict[str, float]
# A point of the grid: factor of the learning rate, strength of regularization (0: as set), dropout.
GRID = {"learning_rate": [0.5, 1.0, 2.0], "regularized": [-1, 0, 1], "dropped": [0.0, 0.2, 0.4]}

# Tuned settings by place: a function of the default value and a point of the grid. Presets set the weight decay of
# embeddings.
SearchSpace = dict[str, Callable[[float, Point], float]]
NETWORK: SearchSpace = {
    "training.learning_rate": lambda value, point: value * point["learning_rate"],
    "training.weight_decay": lambda value, point: value * 10 ** point["regularized"],
    "network.dropout": lambda value, point: point["dropped"],
}
TREES: SearchSpace = {
    "trees.learning_rate": lambda value, point: value * point["learning_rate"],
    "trees.leaves": lambda value, point: max(round(value / 2 ** point["regularized"]), 2),
    "trees.column_share": lambda value, point: 1 - point["dropped"],
}


@dataclass(frozen=True)
class Hyperparameters:
    """Input preset and values of the tuned settings, by their places."""

    inputs: InputPreset
    values: dict[str, float]

    @staticmethod
    def default(settings: Settings, inputs: InputPreset) -> Hyperparameters:
        """Return the values that the settings and the preset say."""
        under = _under(settings, inputs)
        return Hyperparameters(inputs, {place: attrgetter(place)(under) for place in _space(settings)})

    def apply(self, settings: Settings) -> Settings:
        """Return the settings with these values and the preset of the inputs as the only preset."""
        found = _under(settings, self.inputs)
        for place, value in self.values.items():
            section, name = place.split(".")
            found = changed(found, {section: {name: value}})
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: the name of the preset, and the settings by name without their section."""
        return {"inputs": self.inputs.name} | {place.split(".")[-1]: value for place, value in self.values.items()}


def draw_hyperparameters(settings: Settings, inputs: InputPreset, count: int) -> list[Hyperparameters]:
    """Draw different points of the grid, but the default one, in an order that is the same for all candidates."""
    default, space = Hyperparameters.default(settings, inputs), _space(settings)
    grid = list(ParameterGrid(GRID))
    np.random.RandomState(0).shuffle(grid)
    drawn = [{place: moved(default.values[place], point) for place, moved in space.items()} for point in grid]
    return [Hyperparameters(inputs, values) for values in drawn if values != default.values][:count]


def _under(settings: Settings, inputs: InputPreset) -> Settings:
    """Return the settings with the changes of the preset, and its encoding as the only preset."""
    changes = {section: getattr(inputs, section) for section in SECTIONS}
    return changed(settings, {**changes, "presets": (InputPreset(inputs.name, inputs.encoder),)})


def _space(settings: Settings) -> SearchSpace:
    return TREES if is_self_trained(settings.model) else NETWORK
