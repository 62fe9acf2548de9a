"""A search strategy: `--strategy my_package.strategy:Cheapest`, with `search: {draws: 20}` in the settings."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import torch
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl import SearchResult, SearchStrategy
from automtl.models.network import build, count_parameters
from automtl.search import SearchProblem, SearchSettings
from automtl.system.progress import Callback, Progress


@settings_dataclass(frozen=True)
class CheapestSettings(SearchSettings):
    """Settings of `Cheapest`."""

    draws: int = Limit(default=20, ge=1, description="Architectures that are drawn.")


@dataclass(frozen=True)
class Cheapest(SearchStrategy):
    """The architecture of the fewest parameters among random ones: a floor that every search must beat."""

    settings: CheapestSettings

    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        start, rng = time.perf_counter(), random.Random(seed)
        drawn = [problem.space.sample(rng) for _ in range(self.settings.draws)]
        sizes = []
        for number, architecture in enumerate(drawn, start=1):
            with torch.no_grad():
                network = build(problem.space.narrow(architecture), problem.layout, problem.network, seed)
            sizes.append(count_parameters(network))
            callback(Progress("search", number, len(drawn)))
        best = drawn[sizes.index(min(sizes))]
        return SearchResult(best, time.perf_counter() - start, {"parameters": sizes})
