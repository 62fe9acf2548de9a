"""What every candidate of a comparison is tuned over, and in what order: the same for all (docs/decisions/0014)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid

from automtl.comparison.candidates import changed
from automtl.config import Settings, Variant
from automtl.experiment.input_selection import trains_itself

Point = dict[str, float]
# Factor of the learning rate, strength of regularization (0: as set), share of what is dropped out.
GRID = {"learning_rate": [0.5, 1.0, 2.0], "regularized": [-1, 0, 1], "dropped": [0.0, 0.2, 0.4]}

# Settings that are tuned, by the place where they are set: their value at a point of the grid. Weight decay is that of
# all but embeddings, whose own goes with the inputs.
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

    inputs: Variant
    values: dict[str, float]

    @staticmethod
    def default(settings: Settings, inputs: Variant) -> Hyperparameters:
        """What the settings and the preset say."""
        under = changed(settings, {"network": inputs.network, "training": inputs.training})
        return Hyperparameters(inputs, {place: attrgetter(place)(under) for place in _space(settings)})

    def apply(self, settings: Settings) -> Settings:
        """The settings with the preset as the only one and these values."""
        changes: dict[str, dict[str, Any]] = {"network": self.inputs.network, "training": self.inputs.training}
        for place, value in self.values.items():
            section, name = place.split(".")
            changes[section] = {**changes.get(section, {}), name: value}
        found: Settings = changed(settings, {**changes, "variants": (replace(self.inputs, network={}, training={}),)})
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the name of the preset, and the settings under their names alone."""
        return {"inputs": self.inputs.name} | {place.split(".")[-1]: value for place, value in self.values.items()}


def draw_hyperparameters(settings: Settings, inputs: Variant, count: int) -> list[Hyperparameters]:
    """Different points of the grid without the default one, in a random order that is the same for all candidates."""
    default, space = Hyperparameters.default(settings, inputs), _space(settings)
    grid = list(ParameterGrid(GRID))
    np.random.RandomState(0).shuffle(grid)
    drawn = [{place: moved(default.values[place], point) for place, moved in space.items()} for point in grid]
    return [Hyperparameters(inputs, values) for values in drawn if values != default.values][:count]


def _space(settings: Settings) -> SearchSpace:
    return TREES if trains_itself(settings.model) else NETWORK
