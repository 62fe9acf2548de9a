"""What every model of a comparison is tuned over, and in what order: the same for all (docs/decisions/0014)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from automtl.config import InputPreset, Settings
from automtl.ensemble.settings import TreeSettings
from automtl.errors import ComparisonError
from automtl.experiment.inputs import is_self_trained
from automtl.models.settings import NetworkSettings
from automtl.training.fit import TrainingSettings

# Factor of the learning rate, how much more is regularised (0: as set), share of what is dropped out.
GRID: dict[str, list[float]] = {"learning_rate": [0.5, 1.0, 2.0], "regularized": [-1, 0, 1], "dropped": [0.0, 0.2, 0.4]}
Values = dict[str, float]


class Knobs(ABC):
    """What a kind of model can be tuned by: values of its settings, under their own names."""

    @abstractmethod
    def default(self, network: NetworkSettings, training: TrainingSettings, trees: TreeSettings) -> Values:
        """As set."""

    @abstractmethod
    def moved(self, values: Values, drawn: Values) -> Values:
        """A point of the grid."""

    @abstractmethod
    def changes(self, values: Values) -> dict[str, dict[str, Any]]:
        """Of the settings, by the part of a preset."""


class NetworkKnobs(Knobs):
    """Learning rate, weight decay (of all but embeddings: theirs goes with the inputs) and dropout."""

    def default(self, network: NetworkSettings, training: TrainingSettings, trees: TreeSettings) -> Values:
        return {
            "learning_rate": training.learning_rate, "weight_decay": training.weight_decay, "dropout": network.dropout,
        }  # fmt: skip

    def moved(self, values: Values, drawn: Values) -> Values:
        return {
            "learning_rate": values["learning_rate"] * drawn["learning_rate"],
            "weight_decay": values["weight_decay"] * 10 ** drawn["regularized"],
            "dropout": drawn["dropped"],
        }

    def changes(self, values: Values) -> dict[str, dict[str, Any]]:
        training = {name: values[name] for name in ("learning_rate", "weight_decay")}
        return {"network": {"dropout": values["dropout"]}, "training": training}


class TreeKnobs(Knobs):
    """Learning rate, leaves of a tree, and the share of columns that a tree sees."""

    def default(self, network: NetworkSettings, training: TrainingSettings, trees: TreeSettings) -> Values:
        return {
            "learning_rate": trees.learning_rate, "leaves": float(trees.leaves), "column_share": trees.column_share,
        }  # fmt: skip

    def moved(self, values: Values, drawn: Values) -> Values:
        return {
            "learning_rate": values["learning_rate"] * drawn["learning_rate"],
            "leaves": float(max(round(values["leaves"] / 2 ** drawn["regularized"]), 2)),
            "column_share": 1 - drawn["dropped"],
        }

    def changes(self, values: Values) -> dict[str, dict[str, Any]]:
        return {"trees": values | {"leaves": int(values["leaves"])}}


NETWORK, TREES = NetworkKnobs(), TreeKnobs()


@dataclass(frozen=True)
class Tuned:
    """One point: the inputs' preset, and values of the knobs."""

    inputs: InputPreset
    values: Values
    knobs: Knobs

    @staticmethod
    def default(settings: Settings, inputs: InputPreset) -> Tuned:
        """What the settings and the preset say."""
        training = replace(settings.training, **inputs.training)
        network, trees = replace(settings.network, **inputs.network), replace(settings.trees, **inputs.trees)
        knobs = TREES if is_self_trained(settings.model) else NETWORK
        return Tuned(inputs, knobs.default(network, training, trees), knobs)

    def apply(self, settings: Settings) -> Settings:
        """The settings with this point as their one preset."""
        inputs, changes = self.inputs, self.knobs.changes(self.values)
        changed = {part: getattr(inputs, part) | values for part, values in changes.items()}
        return replace(settings, presets=(replace(inputs, **changed),))

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the inputs by their preset's name."""
        return {"inputs": self.inputs.name, **self.values}


def first_points(settings: Settings, presets: Sequence[InputPreset], trials: int) -> list[Tuned]:
    """The default settings under each preset of the inputs, the ones that `fit` would choose first."""
    return [Tuned.default(settings, preset) for preset in presets][:trials]


def further_points(settings: Settings, inputs: InputPreset, count: int) -> list[Tuned]:
    """Points of the grid under the inputs that were best so far: drawn once, so the same for all models."""
    default = Tuned.default(settings, inputs)
    drawn = draw(count + 1) if count > 0 else []
    points = [replace(default, values=default.knobs.moved(default.values, point)) for point in drawn]
    return [point for point in points if point != default][:count]


def require_tuning(trials: int) -> None:
    """Raises ComparisonError if optuna is needed and not installed."""
    if trials > 1:
        try:
            import optuna  # noqa: F401
        except ImportError:
            raise ComparisonError(
                "tuning needs optuna: pip install 'automtl[compare]', or pass --trials 1 for default settings"
            ) from None


def draw(count: int) -> list[Values]:
    """Different points of the grid in a random order that is always the same, all of them at most."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(GRID, seed=0))
    distributions: dict[str, optuna.distributions.BaseDistribution]
    distributions = {name: optuna.distributions.CategoricalDistribution(values) for name, values in GRID.items()}
    size = prod(len(values) for values in GRID.values())
    return [study.ask(distributions).params for _ in range(min(count, size))]
