"""Algorithm 1 at less cost: few candidates run in a step, and the supernet is pruned on the way."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.operations import Block, Identity, operation
from automtl.search.base import SearchProblem, SearchResult
from automtl.search.differentiable import DifferentiableStrategy
from automtl.search.procedure import Procedure
from automtl.search.settings import RegularizedSettings
from automtl.space.names import POOLING, block_of
from automtl.system.progress import Callback
from automtl.tables.entries import CONFIG


@settings_dataclass(frozen=True, config=CONFIG)
class ProgressiveSettings(RegularizedSettings):
    """Settings of the strategy `progressive`."""

    candidates: int | None = Limit(
        default=2, ge=2, le=1_000_000, description="Candidates of a choice that run where alpha moves; unset: all."
    )
    trained_candidates: int | None = Limit(
        default=2, ge=1, le=1_000_000, description="Candidates of a choice that run where weights move; unset: all."
    )
    architecture_every: int = Limit(
        default=2, ge=1, le=1_000_000, description="Steps of the weights for each step of alpha."
    )
    architecture_rest: float = Limit(default=0.2, ge=0, lt=1, description="Share of the steps before alpha moves.")
    prune_at: tuple[float, ...] = Limit(
        default=(0.3, 0.5, 0.7),
        description="Shares of the steps after which half of the candidates go; at the last all but the strongest.",
    )
    patience: int | None = Limit(
        default=3,
        ge=2,
        le=1_000_000_000,
        description="Equal evaluations after the last pruning that end the search; unset: none.",
    )
    trial_rows: int = Limit(
        default=100_000,
        ge=0,
        le=1_000_000_000_000,
        description="Greatest number of rows of a trial of the baseline check; 0: no check.",
    )
    baseline_pooling: str = Limit(default="linear", description="Pooling that the baseline check tries.")
    baseline_layers: tuple[str, ...] = Limit(
        default=("mlp-64", "mlp-64"), description="Expert layers that the baseline check tries; then skips."
    )


@dataclass(frozen=True)
class Progressive(DifferentiableStrategy):
    """Algorithm 1 with few candidates in a step, a supernet that is pruned, and a check against a baseline.

    A step runs some candidates of each choice, alpha moves every few steps, and weak candidates are pruned on the way.
    The search ends early where the architecture no longer changes. Until the last pruning a skip connection beside the
    layers, as in DARTS-, carries the signal past candidates that have hardly been trained, so that those which must
    learn are not judged by their neighbours' noise. In the end short trainings decide whether parts made by hand are
    better, unless there is a warm start.
    """

    settings: ProgressiveSettings

    def procedure(self) -> Procedure:
        for text in (self.settings.baseline_pooling, *self.settings.baseline_layers):
            operation(text)  # raises before any work
        return Procedure.of(self.settings, auxiliary_skip=max(self.settings.prune_at, default=1.0))

    def checked(self, found: SearchResult, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        from automtl.search.baseline_check import check_against_baseline

        mine, layers = self.settings, iter(map(operation, self.settings.baseline_layers))
        names = (name for name in problem.space.choices if block_of(name) is Block.LAYER)
        baseline = {POOLING: operation(mine.baseline_pooling)} | {name: next(layers, Identity()) for name in names}
        max_rows = mine.trial_rows if mine.pretrained_embedding and not problem.warm_start else 0
        return check_against_baseline(found, baseline, max_rows, problem, seed, callback)
