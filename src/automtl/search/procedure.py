"""The plan of each step of a search by gradients, which decides what it runs, moves and records. No tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from automtl.operations import Block
from automtl.search.candidates import Candidates, Sizes, argmax, sample_candidates, top_k
from automtl.search.settings import DifferentiableSettings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Procedure:
    """The rules of a search by gradients, off where its settings do not set them; shares are of all steps.

    `joint`: beta moves with alpha on validation batches, not with the weights after the warm-up. `second_order`: alpha
    and beta look one step of the weights ahead. `auxiliary_skip`: until this share a skip connection beside expert
    layers fades from 1 to 0 (Chu et al., DARTS-, ICLR 2021); `interaction_skip`: beside interactions, too. A choice of
    at most `small_choice` candidates runs all of them and is decided by the last pruning. ProgressiveSettings describe
    the rest. Without early stopping gradients are compared all the same.
    """

    joint: bool = False
    second_order: bool = False
    auxiliary_skip: float = 0.0
    interaction_skip: bool = False
    small_choice: int = 4
    warm_up: float = 0.0
    auxiliary_loss: bool = False
    auxiliary_weight: float = 0.0
    early_stopping: bool = False
    stop_threshold: float = 0.0
    stop_patience: int = 1
    candidates: int | None = None
    trained_candidates: int | None = None
    architecture_every: int = 1
    architecture_rest: float = 0.0
    prune_at: tuple[float, ...] = ()
    patience: int | None = None

    @staticmethod
    def of(settings: DifferentiableSettings, **rules: Any) -> Procedure:
        """Make a procedure of the rules given and of the settings that are fields of it."""
        own = {one.name: getattr(settings, one.name) for one in fields(Procedure) if hasattr(settings, one.name)}
        return Procedure(**own | rules)


@dataclass(frozen=True)
class StepPlan:
    """The plan of one step: what it runs, moves and records.

    First alpha moves on a validation batch (`moves_alpha`), with the weights' gradients there compared with those
    recorded a step before (`compares`); then the weights move on a training batch, with beta (`selects`), and their
    gradients are recorded for the next step (`records`); then `prune` picks the candidates that are left of a choice
    by their weights. Candidates are those that run in either pass (None: all).
    """

    step: int
    learning_rate: float
    moves_alpha: bool
    compares: bool
    records: bool
    selects: bool
    auxiliary_weight: float
    skips: Mapping[Block, float]
    architecture_candidates: Candidates | None
    weights_candidates: Candidates | None
    prune: Callable[[Tensor], tuple[int, ...]] | None


@dataclass(frozen=True)
class Schedule:
    """The plans of a search of `total` steps."""

    procedure: Procedure
    settings: DifferentiableSettings
    total: int
    seed: int

    def after(self, share: float) -> int:
        """Return the number of steps that are this share of all."""
        return int(self.total * share)

    @property
    def warm_up(self) -> int:
        """The number of steps of the warm-up."""
        return self.after(self.procedure.warm_up)

    @property
    def last_pruning(self) -> int:
        """The number of steps before the last pruning; 0 where there is none."""
        return self.after(max(self.procedure.prune_at, default=0))

    def plan(self, step: int, sizes: Sizes) -> StepPlan:
        """Plan a step, counted from 0, where choices have these numbers of candidates."""
        rules = self.procedure
        moves_alpha = step >= self.after(rules.architecture_rest) and step % rules.architecture_every == 0
        return StepPlan(
            step=step,
            learning_rate=self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / self.total)),
            moves_alpha=moves_alpha,
            compares=moves_alpha and self._compares(step),
            records=self._compares(step + 1),
            selects=not rules.joint and step >= self.warm_up,
            auxiliary_weight=rules.auxiliary_loss * rules.auxiliary_weight * _decay(step, self.warm_up, self.total),
            skips=self._skips(step),
            architecture_candidates=self._architecture_candidates(step, sizes) if moves_alpha else None,
            weights_candidates=self._weights_candidates(step, sizes),
            prune=self._pruning(step + 1),
        )

    def _skips(self, step: int) -> Mapping[Block, float]:
        """Return the weights of the skip connections beside blocks."""
        if not self.procedure.auxiliary_skip:
            return {}
        skip = _decay(step, 0, self.after(self.procedure.auxiliary_skip) - 1)
        return {Block.LAYER: skip, Block.INTERACTION: skip * self.procedure.interaction_skip}

    def _compares(self, step: int) -> bool:
        """Tell whether gradients are compared; in the warm-up, before the embedding has learned, they are noise."""
        return step > self.warm_up and step % (self.settings.stop_every * self.procedure.architecture_every) == 0

    def _weights_candidates(self, step: int, sizes: Sizes) -> Candidates | None:
        """Sample whose weights move; where gradients are recorded, as many as the architecture's pass runs."""
        rules = self.procedure
        count = rules.candidates if self._compares(step + 1) else rules.trained_candidates
        return sample_candidates(sizes, step, count, rules.small_choice, self.seed)

    def _architecture_candidates(self, step: int, sizes: Sizes) -> Candidates | None:
        """Sample whose logits move; where gradients are compared, those whose gradients were recorded."""
        if self._compares(step):
            return self._weights_candidates(step - 1, sizes)
        return sample_candidates(sizes, step, self.procedure.candidates, self.procedure.small_choice, self.seed + 1)

    def _pruning(self, taken: int) -> Callable[[Tensor], tuple[int, ...]] | None:
        """Return the function that prunes after so many steps, if there is a pruning."""
        if taken not in map(self.after, self.procedure.prune_at):
            return None
        return argmax if taken == self.last_pruning else partial(top_k, small=self.procedure.small_choice)


def _decay(step: int, start: int, end: int) -> float:
    """Return 1 until `start`, then fall linearly to 0 at `end`."""
    return 1.0 if step < start else max(0.0, 1 - (step - start) / max(end - start, 1))
