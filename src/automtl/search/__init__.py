"""Search strategies: from a space and data to an architecture, one a file. No tensors until one runs."""

from __future__ import annotations

from automtl.errors import SettingsError
from automtl.search.base import SearchProblem, SearchResult, SearchStrategy, TrainedNetwork
from automtl.search.settings import SearchSettings, published
from automtl.system.registry import Registry, subclass_of

STRATEGIES: Registry[type[SearchStrategy]] = Registry(
    "strategy",
    {
        "halving": "automtl.search.halving:Halving",
        "progressive": "automtl.search.progressive:Progressive",
        "automtl": "automtl.search.algorithm_one:AlgorithmOne",
        "darts": "automtl.search.darts:Darts",
        "darts-minus": "automtl.search.darts_minus:DartsMinus",
        "random": "automtl.search.random_search:RandomSearch",
    },
    subclass_of("automtl.search.base:SearchStrategy"),
    "a subclass of automtl.search.SearchStrategy",
    SettingsError,
)

__all__ = [
    "STRATEGIES",
    "SearchProblem",
    "SearchResult",
    "SearchSettings",
    "SearchStrategy",
    "TrainedNetwork",
    "published",
]
