"""Candidates of a stranger are pruned with the weights of their own, or the mistake is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from automtl.errors import SpaceError
from automtl.models.settings import NetworkSettings
from automtl.models.supernet import Supernet
from automtl.nn.mixture import Mixture
from automtl.operations import Block, Operation
from automtl.space import Choice, SpaceSettings, published_space
from tests.conftest import small_batch, small_layout

SETTINGS = NetworkSettings(embedding_size=4, width=8, towers=(4,))


@dataclass(frozen=True)
class Scale(Operation):
    """Each unit by a weight of its own; `size` tells candidates apart."""

    blocks = (Block.LAYER,)
    size: int

    @staticmethod
    def mixture(candidates: Sequence[Any], stack: int, shape: Any, generator: torch.Generator) -> Mixture:
        return ScaleMixture(len(candidates), stack, shape.width, generator)


class ScaleMixture(Mixture):
    def __init__(self, count: int, stack: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.scales = nn.ParameterList(
            nn.Parameter(torch.rand(stack, 1, width, generator=generator)) for _ in range(count)
        )

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        parts = [x * self.scales[k] * weights[:, place].reshape(-1, 1, 1) for place, k in enumerate(active)]
        return torch.stack(parts).sum(0)

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return [self.scales[candidate]]


@dataclass(frozen=True)
class Swapped(Scale):
    """Says of its first candidate what is the last one's."""

    @staticmethod
    def mixture(candidates: Sequence[Any], stack: int, shape: Any, generator: torch.Generator) -> Mixture:
        return SwappedMixture(len(candidates), stack, shape.width, generator)


class SwappedMixture(ScaleMixture):
    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return [self.scales[len(self.scales) - 1 - candidate]]


@dataclass(frozen=True)
class Short(Scale):
    """Makes no modules."""

    @staticmethod
    def mixture(candidates: Sequence[Any], stack: int, shape: Any, generator: torch.Generator) -> Any:
        return []


@dataclass(frozen=True)
class Joined(Scale):
    """Keeps the weights of all candidates in one parameter, said to be shared."""

    @staticmethod
    def mixture(candidates: Sequence[Any], stack: int, shape: Any, generator: torch.Generator) -> Mixture:
        return JoinedMixture(len(candidates), stack, shape.width, generator)


class JoinedMixture(Mixture):
    def __init__(self, count: int, stack: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.rand(stack, count, width, generator=generator))

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        return x * (weights.unsqueeze(1) @ self.scales[:, list(active)])

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return []

    def shared_parameters(self) -> list[nn.Parameter]:
        return [self.scales]


def supernet(kind: type[Scale]) -> Supernet:
    space = published_space(SpaceSettings(experts=2, layers=1, keep=1), 3)
    options = (kind(1), kind(2), kind(3))
    space = replace(space, choices={**space.choices, "layer_1": Choice((options, options))})
    return Supernet(space, small_layout(), SETTINGS, torch.Generator().manual_seed(0)).eval()


def test_a_strangers_candidates_keep_their_weights_where_others_are_given_up() -> None:
    made, kept = supernet(Scale), {"interaction": (0, 4), "pooling": (1,), "layer_1": (2,)}
    features = small_batch().features
    before = made(features, kept)
    made.prune(kept)
    torch.testing.assert_close(made(features), before)


@pytest.mark.parametrize(
    ("kind", "message"),
    [(Swapped, "computes something else"), (Joined, r"\(3, 8\).* beside other candidates"),
     (Short, "0 modules for 3 candidates")],
)  # fmt: skip
def test_weights_of_another_candidate_are_never_taken_silently(kind: type[Scale], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        supernet(kind).prune({"interaction": (0, 4), "pooling": (1,), "layer_1": (0, 1)})


def test_a_strangers_products_cost_what_they_are_without_a_word_of_its() -> None:
    made = supernet(Scale)
    assert made.cost.of_layer_1.eq(0).all()  # no products
    assert made.cost.of_pooling.gt(0).any()
