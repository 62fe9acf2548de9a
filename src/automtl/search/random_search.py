"""Random search: architectures drawn from the same space, trained as the derived model is, on an equal budget."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import DivergedError
from automtl.search.algorithm_one import AlgorithmOne
from automtl.search.base import SearchProblem, SearchResult, SearchStrategy
from automtl.search.settings import RegularizedSettings, SteppedSettings
from automtl.space.architecture import Architecture
from automtl.space.names import INTERACTION
from automtl.system.progress import Callback, Notice, Progress, ignore
from automtl.tables.entries import CONFIG

if TYPE_CHECKING:
    from automtl.features.batch import Batch
    from automtl.models.network import Network
    from automtl.training.fit import FitResult

PATIENCE = 3  # trainings that may diverge for each one that does not


@settings_dataclass(frozen=True, config=CONFIG)
class RandomSettings(SteppedSettings):
    """Settings of the strategy `random`; without `trials` its budget is that of an `automtl` search."""

    trials: int | None = Limit(
        default=None,
        ge=1,
        le=1_000_000,
        description="Architectures to train; unset: as many as cost what the automtl search does.",
    )


@dataclass(frozen=True)
class RandomSearch(SearchStrategy):
    """Trains architectures on at most `max_rows` rows and returns the best one on validation rows.

    There are `settings.trials` of them, or as many as cost what an `automtl` search of the same settings does. Cost is
    counted in operations of matrix products, not in seconds, so that the same seed tries the same architectures. One
    whose training diverges is left out; where most do, DivergedError is raised.
    """

    settings: RandomSettings

    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        from automtl.features.batch import subset

        start, rng = time.perf_counter(), random.Random(seed)
        budget = None if self.settings.trials else search_flops(problem, self.settings, seed)
        train, valid = (subset(rows, self.settings.max_rows, seed) for rows in (problem.train, problem.valid))
        tried: list[Architecture] = []
        failures: list[DivergedError] = []
        trials: list[dict[str, Any]] = []
        while len(trials) + 1 <= self._affordable(trials, budget):
            drawn = problem.space.sample(rng)
            try:
                result, flops = _train(drawn, problem, train, valid, seed)
            except DivergedError as error:
                failures.append(error)
                if len(failures) > PATIENCE * (len(tried) + 1):
                    raise
                callback(Notice(f"{error}; this architecture is left out, the search goes on"))
                continue
            tried.append(drawn)
            trials.append({
                "score": result.score, "flops": flops, "skips": tried[-1].num_skips, "architecture": tried[-1].to_dict()
            })  # fmt: skip
            best = min(range(len(trials)), key=lambda index: trials[index]["score"])
            share, check = len(trials) / self._affordable(trials, budget), result.evaluations[result.best]
            strongest = (str(tried[best][INTERACTION][0]),)
            callback(Progress("search", round(100 * min(share, 1)), 100, check.loss, check.auc, strongest))
        return SearchResult(tried[best], time.perf_counter() - start, {"trials": trials, "budget": budget})

    def _affordable(self, trials: list[dict[str, Any]], budget: float | None) -> float:
        """Return the number of trials that the budget pays for, if all cost what these did on average; one at least."""
        if budget is None or not trials:
            return self.settings.trials or 1
        spent: float = sum(trial["flops"] for trial in trials)
        return budget * len(trials) / spent


def _train(
    architecture: Architecture, problem: SearchProblem, train: Batch, valid: Batch, seed: int
) -> tuple[FitResult, float]:
    """Train an architecture as a derived model is, and count the floating point operations."""
    from automtl.models.network import build
    from automtl.training.fit import fit

    network = build(problem.space.narrow(architecture), problem.layout, problem.network, seed)
    row = row_flops(network, problem, train)
    result = fit(network, train, valid, problem.layout.tasks, problem.training, seed)
    checked = len(result.evaluations) * len(valid) / 3  # a pass forward is a third of a step
    return result, row * (result.evaluations[-1].rows + checked)


def search_flops(problem: SearchProblem, settings: SteppedSettings, seed: int) -> float:
    """Count the operations of an `automtl` search of the same budget: its first step is run and counted."""
    budget = {field.name: getattr(settings, field.name) for field in fields(SteppedSettings)}
    run = AlgorithmOne(RegularizedSettings(**budget)).begin(problem, seed)
    return float(_count(lambda: run.advance(ignore)) * run.schedule.total)


def row_flops(network: Network, problem: SearchProblem, train: Batch) -> float:
    """Count the operations of a training step for one row; the network stays as it is."""
    from automtl.system.randomness import seeded
    from automtl.training.losses import MultiTaskLoss

    batch = train.take(slice(0, problem.training.batch_size))
    loss = MultiTaskLoss(problem.layout.tasks)
    with seeded(0):
        found = _count(lambda: loss(network(batch.features), batch).backward())
    network.zero_grad(set_to_none=True)
    return found / len(batch)


def _count(work: Callable[[], object]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())
