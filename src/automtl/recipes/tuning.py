"""What every model of a comparison is tuned over, and in what order: the same for all (docs/decisions/0012)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from automtl.config import Settings, Variant
from automtl.errors import ComparisonError

# Factors of the learning rate and the weight decay as they are set, and shares of dropout. The middle is the default.
GRID: dict[str, list[float]] = {
    "learning_rate": [0.5, 1.0, 2.0],
    "weight_decay": [0.1, 1.0, 10.0],
    "dropout": [0.0, 0.2, 0.4],
}


@dataclass(frozen=True)
class Tuned:
    """One point: the inputs' variant, and the settings of the network and its training."""

    inputs: Variant
    learning_rate: float
    weight_decay: float
    dropout: float

    @staticmethod
    def default(settings: Settings, inputs: Variant) -> Tuned:
        """What the settings and the variant say."""
        training = replace(settings.training, **inputs.training)
        network = replace(settings.network, **inputs.network)
        return Tuned(inputs, training.learning_rate, training.weight_decay, network.dropout)

    def apply(self, settings: Settings) -> Settings:
        """The settings with this point as their one variant."""
        training = self.inputs.training | {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}
        network = self.inputs.network | {"dropout": self.dropout}
        return replace(settings, variants=(replace(self.inputs, training=training, network=network),))

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the inputs by their variant's name."""
        return {
            "inputs": self.inputs.name, "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay, "dropout": self.dropout,
        }  # fmt: skip


def first_points(settings: Settings, inputs: Variant, variants: Sequence[Variant], trials: int) -> list[Tuned]:
    """The default settings under the inputs that `fit` would choose, then under the others."""
    others = [variant for variant in variants if variant != inputs]
    return [Tuned.default(settings, variant) for variant in (inputs, *others)][:trials]


def further_points(settings: Settings, inputs: Variant, count: int) -> list[Tuned]:
    """Points of the grid under the inputs that were best so far: drawn once, so the same for all models."""
    default = Tuned.default(settings, inputs)
    points = [
        replace(
            default,
            learning_rate=default.learning_rate * drawn["learning_rate"],
            weight_decay=default.weight_decay * drawn["weight_decay"],
            dropout=drawn["dropout"],
        )
        for drawn in (_draw(count + 1) if count > 0 else [])
    ]
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


def grid_size() -> int:
    """Points of the grid."""
    size = 1
    for values in GRID.values():
        size *= len(values)
    return size


def _draw(count: int) -> list[dict[str, float]]:
    """Different points of the grid in a random order that is always the same."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(GRID, seed=0))
    distributions: dict[str, optuna.distributions.BaseDistribution]
    distributions = {name: optuna.distributions.CategoricalDistribution(values) for name, values in GRID.items()}
    return [study.ask(distributions).params for _ in range(min(count, grid_size()))]
