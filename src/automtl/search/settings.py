"""Settings of a search. No tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.schema import CONFIG

UNBOUNDED = 1_000_000_000


@settings_dataclass(frozen=True, config=CONFIG)
class SearchSettings:
    """Algorithm 1. The defaults bound the cost, `published` lifts the bounds.

    A search takes `epochs` of a subset of at most `max_rows` rows, but at least `min_steps` and at most `max_steps`.
    `architecture_learning_rate` and `selection_learning_rate` are larger than the published 1e-3, since a bounded
    search takes a few hundred steps, not tens of thousands: logits must be able to part within the budget. For the
    same reason the supernet's weights move by Adam (`optimizer`), where the published schedule has SGD with momentum.
    `cost_weight`: what a candidate's cost weighs in the choice. The validation loss is raised by this share of itself
    for each unit of the logarithm of the multiply-adds: at 0.003 doubling them must lower it by 0.2 %. 0: no matter.
    `candidates` are drawn in each choice for a pass that moves alpha, `trained_candidates` for one that moves weights
    (unset: all run); a choice of at most `whole_choices` candidates runs them all and is decided at the end. alpha
    rests for the share `architecture_rest` of the steps, in which the weights learn something to choose by, then moves
    every `architecture_every` steps. At each share of the steps in `drop_at` a choice keeps `drop_keep` of its
    candidates, at the last one those that lead in some expert. The search ends early where `stable_looks` looks after
    that (there are 15 in a search) found the same architecture. The `automtl` strategy leaves these alone.
    `lent_embedding`: the supernet's embedding is the reference model's that chose the inputs, where there is one, and
    rests: a few hundred steps do not learn ids, and Adam's decay would move every row that a step does not meet by a
    whole learning rate towards 0. At the end of a progressive search with a lent embedding, what was found is held
    against experts made by hand (`plain_pooling`, `plain_layers`; skips fill up), by trainings of one epoch of half the
    rows, at most `trial_rows` (0: no trials). `second_order` is of `darts` and `darts-minus` alone.
    `trials` are those of the random strategy; unset: as many as cost what the `automtl` search does.
    """

    epochs: float = Limit(default=0.75, gt=0)
    min_steps: int = Limit(default=200, ge=1)
    max_steps: int = Limit(default=400, ge=1)
    max_rows: int = Limit(default=400_000, ge=1)
    batch_size: int = Limit(default=256, ge=2)
    warm_up: float = Limit(default=1 / 3, ge=0, lt=1)
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Limit(default=2e-3, gt=0)
    momentum: float = Limit(default=0.9, ge=0, lt=1)
    weight_decay: float = Limit(default=1e-5, ge=0)
    gradient_clip: float = Limit(default=5.0, gt=0)
    architecture_learning_rate: float = Limit(default=0.02, gt=0)
    architecture_weight_decay: float = Limit(default=1e-6, ge=0)
    selection_learning_rate: float = Limit(default=0.02, gt=0)
    cost_weight: float = Limit(default=0.003, ge=0)
    auxiliary_weight: float = Limit(default=0.1, ge=0)
    auxiliary_loss: bool = True
    early_stopping: bool = True
    stop_threshold: float = Limit(default=0.5, gt=0)
    stop_patience: int = Limit(default=3, ge=1)
    stop_smoothing: int = Limit(default=20, ge=1)
    stop_every: int = Limit(default=5, ge=1)
    candidates: int | None = Limit(default=2, ge=2)
    trained_candidates: int | None = Limit(default=2, ge=1)
    whole_choices: int = Limit(default=4, ge=0)
    architecture_every: int = Limit(default=2, ge=1)
    architecture_rest: float = Limit(default=0.2, ge=0, lt=1)
    drop_at: tuple[float, ...] = (0.3, 0.5, 0.7)
    drop_keep: float = Limit(default=0.5, gt=0, le=1)
    stable_looks: int | None = Limit(default=3, ge=2)
    lent_embedding: bool = True
    trial_rows: int = Limit(default=100_000, ge=0)
    plain_pooling: str = "linear"
    plain_layers: tuple[str, ...] = ("mlp-64", "mlp-64")
    second_order: bool = False
    trials: int | None = Limit(default=None, ge=1)


def whole(settings: SearchSettings) -> SearchSettings:
    """Every step runs all candidates and moves alpha; none is dropped."""
    return replace(
        settings, candidates=None, trained_candidates=None, architecture_every=1, architecture_rest=0.0,
        drop_at=(), stable_looks=None,
    )  # fmt: skip


def plain(settings: SearchSettings) -> SearchSettings:
    """The whole search without what steadies it: no warm-up, no auxiliary loss, nothing is stopped."""
    return replace(whole(settings), warm_up=0.0, auxiliary_loss=False, early_stopping=False)


def published() -> SearchSettings:
    """The paper's schedule: 15 epochs of all rows, batch 1024, its learning rates."""
    return whole(SearchSettings(
        epochs=15, min_steps=1, max_steps=UNBOUNDED,
        max_rows=UNBOUNDED, batch_size=1024, optimizer="sgd", learning_rate=0.01, weight_decay=3e-4,
        lent_embedding=False, cost_weight=0.0,
        architecture_learning_rate=1e-3, selection_learning_rate=1e-3,
    ))  # fmt: skip
