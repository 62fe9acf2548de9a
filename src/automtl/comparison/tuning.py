"""What every candidate of a comparison is tuned over, and in what order: the same for all (docs/decisions/0014)."""

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

SECTIONS = ("network", "training", "trees")  # of settings that are tuned and that a preset may change, too
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

    inputs: InputPreset
    values: dict[str, float]

    @staticmethod
    def default(settings: Settings, inputs: InputPreset) -> Hyperparameters:
        """What the settings and the preset say."""
        under = _under(settings, inputs)
        return Hyperparameters(inputs, {place: attrgetter(place)(under) for place in _space(settings)})

    def apply(self, settings: Settings) -> Settings:
        """The settings with these values, under the preset of the inputs and no other."""
        found = _under(settings, self.inputs)
        for place, value in self.values.items():
            section, name = place.split(".")
            found = changed(found, {section: {name: value}})
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the name of the preset, and the settings under their names alone."""
        return {"inputs": self.inputs.name} | {place.split(".")[-1]: value for place, value in self.values.items()}


def draw_hyperparameters(settings: Settings, inputs: InputPreset, count: int) -> list[Hyperparameters]:
    """Different points of the grid without the default one, in a random order that is the same for all candidates."""
    default, space = Hyperparameters.default(settings, inputs), _space(settings)
    grid = list(ParameterGrid(GRID))
    np.random.RandomState(0).shuffle(grid)
    drawn = [{place: moved(default.values[place], point) for place, moved in space.items()} for point in grid]
    return [Hyperparameters(inputs, values) for values in drawn if values != default.values][:count]


def _under(settings: Settings, inputs: InputPreset) -> Settings:
    """The settings with what the preset changes, and the preset's encoding as the only preset."""
    changes = {section: getattr(inputs, section) for section in SECTIONS}
    preset = InputPreset(inputs.name, inputs.encoder)
    found: Settings = changed(settings, {**changes, "presets": (preset,)})
    return found


def _space(settings: Settings) -> SearchSpace:
    return TREES if is_self_trained(settings.model) else NETWORK
