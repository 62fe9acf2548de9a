"""Random search: architectures drawn from the same space, trained as the derived model is."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from automtl.models.network import build
from automtl.search.base import SearchProblem, SearchResult, SearchStrategy
from automtl.search.differentiable import subset
from automtl.training.fit import fit
from automtl.training.progress import Listener, Progress


@dataclass(frozen=True)
class RandomSearch(SearchStrategy):
    """`settings.trials` architectures on at most `max_rows` rows; the best on validation rows wins."""

    def search(self, problem: SearchProblem, seed: int, listen: Listener) -> SearchResult:
        start, rng = time.perf_counter(), random.Random(seed)
        settings = self.settings
        train = subset(problem.train, settings.max_rows, seed)
        valid = subset(problem.valid, settings.max_rows, seed)
        trials = []
        for trial in range(settings.trials):
            architecture = problem.space.sample(rng)
            network = build(problem.space.narrow(architecture), problem.layout, problem.network, seed)
            result = fit(network, train, valid, problem.layout.tasks, problem.training, seed)
            trials.append((result.score, trial, architecture))
            best = min(trials, key=lambda entry: entry[:2])[2]
            check = result.checks[result.best]
            listen(Progress("search", trial + 1, settings.trials, check.loss, check.auc, (str(best.interaction),)))
        chosen = min(trials, key=lambda entry: entry[:2])[2]
        history = {"trials": [{"score": score, "architecture": a.to_dict()} for score, _, a in trials]}
        return SearchResult(chosen, time.perf_counter() - start, history)
