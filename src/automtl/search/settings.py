"""Settings that several strategies share; those of one strategy stand beside it. No tensors."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Literal, TypeVar

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.entries import CONFIG

UNBOUNDED = 1_000_000_000


@settings_dataclass(frozen=True, config=CONFIG)
class SearchSettings:
    """The base of each strategy's settings."""

    @property
    def uses_embedding(self) -> bool:
        """Tell whether the search starts from a pretrained embedding, for which not all strategies have a setting."""
        return bool(getattr(self, "pretrained_embedding", False))


@settings_dataclass(frozen=True, config=CONFIG)
class SteppedSettings(SearchSettings):
    """The budget of a search that is counted in steps."""

    epochs: float = Limit(
        default=0.75, gt=0, le=1_000_000, description="Passes over the rows that the search draws; may be a fraction."
    )
    min_steps: int = Limit(
        default=200, ge=1, le=1_000_000_000, description="Least number of steps, where the epochs ask for fewer."
    )
    max_steps: int = Limit(
        default=300, ge=1, le=1_000_000_000, description="Greatest number of steps, where the epochs ask for more."
    )
    max_rows: int = Limit(
        default=400_000,
        ge=1,
        le=1_000_000_000_000,
        description="Greatest number of training rows that are drawn, and of validation rows.",
    )
    batch_size: int = Limit(default=256, ge=2, le=100_000_000, description="Rows of a batch.")

    @property
    def num_rows(self) -> int:
        """The number of training rows to draw: `max_rows`, but no more than `max_steps` steps can use."""
        return min(self.max_rows, math.ceil(self.max_steps / min(self.epochs, 1)) * self.batch_size)

    def num_steps(self, steps_per_epoch: int) -> int:
        """Return the steps of `epochs` epochs, but at least `min_steps` and at most `max_steps`."""
        return min(self.max_steps, max(self.min_steps, round(self.epochs * steps_per_epoch)))


@settings_dataclass(frozen=True, config=CONFIG)
class DifferentiableSettings(SteppedSettings):
    """Settings of all searches by gradients.

    Learning rates are larger than the published ones, and Adam moves the supernet's weights, since a bounded search
    takes a few hundred steps, not tens of thousands. A pretrained embedding stays as it is: so few steps do not
    learn ids, and Adam's decay would move every row that a step does not meet by a whole learning rate towards 0.
    """

    optimizer: Literal["adam", "sgd"] = Limit(default="adam", description="The optimizer of the supernet's weights.")
    learning_rate: float = Limit(
        default=2e-3, gt=0, le=10, description="The weights' first learning rate; it decays by a cosine."
    )
    weight_decay: float = Limit(default=1e-5, ge=0, le=1e3, description="Weight decay of the supernet's weights.")
    architecture_learning_rate: float = Limit(
        default=0.02, gt=0, le=10, description="Learning rate of the candidates' logits."
    )
    selection_learning_rate: float = Limit(
        default=0.02, gt=0, le=10, description="Learning rate of the experts' logits."
    )
    cost_weight: float = Limit(
        default=0.003,
        ge=0,
        le=1e6,
        description="Share of the validation loss that one unit of the logarithm of multiply-adds costs.",
    )
    stop_every: int = Limit(
        default=5, ge=1, le=1_000_000, description="Moves of alpha from one comparison of gradients to the next."
    )
    pretrained_embedding: bool = Limit(
        default=True, description="Whether the search starts from the embedding of the model that chose the inputs."
    )


@settings_dataclass(frozen=True, config=CONFIG)
class RegularizedSettings(DifferentiableSettings):
    """Settings of Algorithm 1 of the paper: warm-up, auxiliary loss, operation-level early stopping."""

    warm_up: float = Limit(default=1 / 3, ge=0, lt=1, description="Share of the steps before experts are selected.")
    auxiliary_loss: bool = Limit(default=True, description="Whether tasks are kept apart in their choice of experts.")
    auxiliary_weight: float = Limit(
        default=0.1, ge=0, le=1e6, description="Weight of the auxiliary loss in the warm-up."
    )
    early_stopping: bool = Limit(default=True, description="Whether operations that overfit are stopped.")
    stop_threshold: float = Limit(
        default=0.5,
        gt=0,
        le=1e6,
        description="Greatest 1 - cosine of training and validation gradients of an operation that does not overfit.",
    )
    stop_patience: int = Limit(
        default=3, ge=1, le=1_000_000, description="Comparisons above the threshold that stop an operation."
    )


PUBLISHED: dict[str, Any] = {
    "epochs": 15, "min_steps": 1, "max_steps": UNBOUNDED, "max_rows": UNBOUNDED, "batch_size": 1024, "optimizer": "sgd",
    "learning_rate": 0.01, "weight_decay": 3e-4, "architecture_learning_rate": 1e-3, "selection_learning_rate": 1e-3,
    "pretrained_embedding": False, "cost_weight": 0.0, "candidates": None, "trained_candidates": None,
    "architecture_every": 1, "architecture_rest": 0.0, "prune_at": (), "patience": None,
}  # fmt: skip
AnySettings = TypeVar("AnySettings", bound=SearchSettings)


def published(kind: type[AnySettings]) -> AnySettings:
    """Make settings of a strategy by the paper's schedule: 15 epochs of all rows, batch 1024, its learning rates."""
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in PUBLISHED.items() if name in known})
