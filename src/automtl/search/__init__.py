"""Search strategies: from a space and data to an architecture, one a file. No tensors until one runs.

All but the names of strategies is imported when it is first used, so that the command line's help is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from automtl.errors import SettingsError
from automtl.system.registry import Registry, subclass_of

if TYPE_CHECKING:
    from automtl.search.base import SearchProblem, SearchResult, SearchStrategy, TrainedNetwork
    from automtl.search.settings import SearchSettings, published

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


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` when it is first used."""
    if name in __all__:
        module = "settings" if name in ("SearchSettings", "published") else "base"
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
