"""From a search space and data to an architecture: one strategy a file."""

from __future__ import annotations

from automtl.search.base import SearchResult, SearchStrategy
from automtl.search.darts import Darts
from automtl.search.darts_minus import DartsMinus
from automtl.search.differentiable import Differentiable, Progressive
from automtl.search.random_search import RandomSearch
from automtl.search.settings import SearchSettings

STRATEGIES: dict[str, type[SearchStrategy]] = {
    "progressive": Progressive, "automtl": Differentiable, "darts": Darts, "darts-minus": DartsMinus,
    "random": RandomSearch,
}  # fmt: skip

__all__ = ["STRATEGIES", "SearchResult", "SearchSettings", "SearchStrategy"]
