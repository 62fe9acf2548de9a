"""What every search strategy is: from a space and data to an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from automtl.features.batch import Batch
from automtl.features.layout import Layout
from automtl.models.settings import NetworkSettings
from automtl.models.supernet import Supernet
from automtl.nn.embedding import FieldEmbedding
from automtl.search.settings import SearchSettings
from automtl.space.architecture import Architecture
from automtl.space.space import SearchSpace
from automtl.system.progress import Callback
from automtl.training.settings import TrainingSettings


@dataclass(frozen=True)
class SearchResult:
    """`history`: plain values for JSON. `supernet`: the trained one, where the strategy has one."""

    architecture: Architecture
    seconds: float
    history: dict[str, Any] = field(default_factory=dict)
    supernet: Supernet | None = None


@dataclass(frozen=True)
class SearchProblem:
    """What a strategy may see: training and validation rows, never test rows.

    `embedding`: one that a smaller model has learned on the training rows, if there is one.
    """

    space: SearchSpace
    layout: Layout
    train: Batch
    valid: Batch
    network: NetworkSettings
    training: TrainingSettings
    embedding: FieldEmbedding | None = None


@dataclass(frozen=True)
class SearchStrategy(ABC):
    """A leaf is one way to search."""

    settings: SearchSettings

    @abstractmethod
    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        """The architecture found. Deterministic by `seed`."""
