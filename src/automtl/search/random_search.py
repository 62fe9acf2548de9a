"""Random search: architectures drawn from the same space, trained as the derived model is, on an equal budget."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from automtl.features.batch import Batch, subset
from automtl.models.network import Network, build
from automtl.search.base import SearchProblem, SearchResult, SearchStrategy
from automtl.search.differentiable import Differentiable
from automtl.search.settings import SearchSettings
from automtl.space.architecture import Architecture
from automtl.space.names import INTERACTION
from automtl.system.progress import Callback, Progress, ignore
from automtl.system.randomness import seeded
from automtl.training.fit import FitResult, fit
from automtl.training.losses import MultiTaskLoss


@dataclass(frozen=True)
class Trial:
    """A trained architecture, and the floating point operations that its training took."""

    architecture: Architecture
    result: FitResult
    flops: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "score": self.result.score, "flops": self.flops, "skips": self.architecture.num_skips,
            "architecture": self.architecture.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True)
class RandomSearch(SearchStrategy):
    """Architectures trained on at most `max_rows` rows; the best on validation rows wins.

    `settings.trials` of them, or as many as cost what the `automtl` search costs under the same settings. Cost is
    counted in operations of matrix products, not in seconds, so that the same seed tries the same architectures.
    """

    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        start, rng = time.perf_counter(), random.Random(seed)
        budget = math.inf if self.settings.trials else search_flops(problem, self.settings, seed)
        train = subset(problem.train, self.settings.max_rows, seed)
        valid = subset(problem.valid, self.settings.max_rows, seed)
        trials: list[Trial] = []
        while self._goes_on(trials, budget):
            trials.append(_try(problem.space.sample(rng), problem, train, valid, seed))
            check = trials[-1].result.evaluations[trials[-1].result.best]
            share = len(trials) / (self.settings.trials or _affordable(trials, budget))
            strongest = (str(_best(trials).architecture[INTERACTION][0]),)
            callback(Progress("search", round(100 * min(share, 1)), 100, check.loss, check.auc, strongest))
        history = {"trials": [trial.to_dict() for trial in trials], "budget": None if self.settings.trials else budget}
        return SearchResult(_best(trials).architecture, time.perf_counter() - start, history)

    def _goes_on(self, trials: list[Trial], budget: float) -> bool:
        """One trial at least; another one where it fits, if it costs what the others did on average."""
        if not trials or self.settings.trials:
            return len(trials) < (self.settings.trials or 1)
        return len(trials) + 1 <= _affordable(trials, budget)


def _affordable(trials: list[Trial], budget: float) -> float:
    return budget * len(trials) / sum(trial.flops for trial in trials)


def _best(trials: list[Trial]) -> Trial:
    return min(trials, key=lambda trial: trial.result.score)


def _try(architecture: Architecture, problem: SearchProblem, train: Batch, valid: Batch, seed: int) -> Trial:
    network = build(problem.space.narrow(architecture), problem.layout, problem.network, seed)
    row = row_flops(network, problem, train)
    result = fit(network, train, valid, problem.layout.tasks, problem.training, seed)
    checked = len(result.evaluations) * len(valid) / 3  # a pass forward is a third of a step
    return Trial(architecture, result, row * (result.evaluations[-1].rows + checked))


def search_flops(problem: SearchProblem, settings: SearchSettings, seed: int) -> float:
    """Operations of the whole `automtl` search: its first step is run and counted."""
    run = Differentiable(settings).begin(problem, seed)
    return float(_count(lambda: run.advance(ignore)) * run.schedule.total)


def row_flops(network: Network, problem: SearchProblem, train: Batch) -> float:
    """Operations of a training step, for one row. The network is as before."""
    batch = train.take(slice(0, problem.training.batch_size))
    loss = MultiTaskLoss(problem.layout.tasks)
    with seeded(0):
        found = _count(lambda: loss(network(batch.features), batch).backward())
    network.zero_grad(set_to_none=True)
    return found / len(batch)


def _count(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())
