"""Settings of a search. No tensors."""

from __future__ import annotations

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.data.schema import CONFIG

UNBOUNDED = 1_000_000_000


@settings_dataclass(frozen=True, config=CONFIG)
class SearchSettings:
    """Algorithm 1. The defaults bound the cost: rows of a subset, steps in all. `published` lifts the bounds.

    `architecture_learning_rate` and `selection_learning_rate` are larger than the published 1e-3, since a bounded
    search takes a few hundred steps, not tens of thousands: logits must be able to part within the budget.
    """

    epochs: int = Limit(15, ge=1)
    max_steps: int = Limit(300, ge=1)
    max_rows: int = Limit(200_000, ge=1)
    batch_size: int = Limit(512, ge=2)
    warm_up: float = Limit(1 / 3, ge=0, lt=1)
    learning_rate: float = Limit(0.2, gt=0)
    momentum: float = Limit(0.9, ge=0, lt=1)
    weight_decay: float = Limit(3e-4, ge=0)
    gradient_clip: float = Limit(5.0, gt=0)
    architecture_learning_rate: float = Limit(0.02, gt=0)
    architecture_weight_decay: float = Limit(1e-6, ge=0)
    selection_learning_rate: float = Limit(0.02, gt=0)
    auxiliary_weight: float = Limit(0.1, ge=0)
    auxiliary_loss: bool = True
    early_stopping: bool = True
    stop_threshold: float = Limit(0.5, gt=0)
    stop_patience: int = Limit(3, ge=1)
    stop_smoothing: int = Limit(20, ge=1)
    stop_every: int = Limit(5, ge=1)
    trials: int = Limit(6, ge=1)


def published() -> SearchSettings:
    """The paper's schedule: 15 epochs of all rows, batch 1024, its learning rates."""
    return SearchSettings(
        max_steps=UNBOUNDED, max_rows=UNBOUNDED, batch_size=1024, learning_rate=0.01,
        architecture_learning_rate=1e-3, selection_learning_rate=1e-3,
    )  # fmt: skip
