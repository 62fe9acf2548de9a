"""The interface of search strategies: from a space and data to an architecture. No tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from automtl.models.settings import NetworkSettings
from automtl.search.settings import SearchSettings
from automtl.space.architecture import Architecture
from automtl.space.space import SearchSpace
from automtl.system.progress import Callback

if TYPE_CHECKING:
    from torch import nn

    from automtl.features.batch import Batch
    from automtl.features.layout import Layout
    from automtl.models.supernet import Supernet
    from automtl.nn.embedding import FieldEmbedding
    from automtl.training.fit import FitResult
    from automtl.training.settings import TrainingSettings


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that a search has trained on the training rows under some settings.

    `name`: of the model; `architecture`: None for a published one. `inputs`: the name of the inputs that it was trained
    on, which is that of its SearchProblem. `embedding`: the pretrained one that it started from.
    """

    name: str
    architecture: Architecture | None
    model: nn.Module
    network: NetworkSettings
    training: TrainingSettings
    inputs: str
    result: FitResult
    embedding: FieldEmbedding | None = None


def start_from_embedding(model: nn.Module, embedding: FieldEmbedding) -> None:
    """Give a network the weights of an embedding of the same inputs."""
    own = model.get_submodule("embedding")
    own.load_state_dict(embedding.state_dict())


@dataclass(frozen=True)
class SearchResult:
    """The result of a search. `history`: plain values for JSON; `supernet`: the trained one, if there is one.

    `trained`: the network of the architecture, where the search has trained it to the end.

    >>> from automtl.operations import operation
    >>> choices = {"interaction": (operation("skip"),), "pooling": (operation("sum"),), "layer_1": (operation("skip"),)}
    >>> automtl.SearchResult(automtl.Architecture(choices, selection=((0,),)), seconds=0.5).architecture.num_skips
    2
    """

    architecture: Architecture
    seconds: float
    history: dict[str, Any] = field(default_factory=dict)
    supernet: Supernet | None = None
    trained: TrainedNetwork | None = None


def keep_nothing(trained: TrainedNetwork) -> float:
    """Keep nothing of a finished training, and return its score on validation rows."""
    return trained.result.score


@dataclass(frozen=True)
class SearchProblem:
    """The data of a search: training and validation rows, never test rows.

    `embedding`: one that a smaller model has learned on the training rows, if there is one. `warm_start`: the network
    found is to start from the supernet's weights, so that only the architecture of the supernet counts. `inputs`: the
    name of the inputs; `alternatives`: the same problem on other inputs, which were tried and are not as good alone.
    `keep`: is given every network that the search has trained, and returns the score of the best ensemble of all that
    were kept so far (the smaller the better).
    """

    space: SearchSpace
    layout: Layout
    train: Batch
    valid: Batch
    network: NetworkSettings
    training: TrainingSettings
    embedding: FieldEmbedding | None = None
    warm_start: bool = False
    inputs: str = "default"
    alternatives: tuple[SearchProblem, ...] = ()
    keep: Callable[[TrainedNetwork], float] = keep_nothing


@dataclass(frozen=True)
class SearchStrategy(ABC):
    """A way to search; the annotation of `settings` names the class of its settings.

    `trains`: whether it judges by whole trainings and tunes hyperparameters, so that nothing is left to tune.

    >>> from automtl.search import STRATEGIES
    >>> all(issubclass(STRATEGIES.find(name), automtl.SearchStrategy) for name in STRATEGIES)
    True
    """

    settings: SearchSettings
    trains: ClassVar[bool] = False

    @abstractmethod
    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        """Find an architecture, which `seed` decides."""

    @classmethod
    def settings_class(cls) -> type[SearchSettings]:
        """Return the class of this strategy's settings."""
        kind: type[SearchSettings] = get_type_hints(cls)["settings"]
        return kind
