"""Traces of models: the same bits for one row, and the model itself where there can be no trace."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.models.baselines import BASELINES
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.models.traced import traced
from tests.conftest import small_batch, small_layout

SETTINGS = NetworkSettings(embedding_size=4, width=8, towers=(6,))


def row(seed: int) -> Features:
    return small_batch(1, seed=seed).features


@pytest.mark.parametrize("name", BASELINES)
@torch.no_grad()
def test_a_trace_has_the_bits_of_its_model(name: str) -> None:
    model = MODELS.find(name)(small_layout(), SETTINGS, torch.Generator().manual_seed(0)).eval()
    found = traced(model, row(0))
    assert found is not model
    assert all(torch.equal(found(row(seed)), model(row(seed))) for seed in range(20))


class ByNumpy(nn.Module):
    """Leaves torch on its way, which a trace cannot follow."""

    def forward(self, features: Features) -> Tensor:
        return torch.from_numpy(features.numeric.numpy() * 2)


class ByValue(nn.Module):
    """Does something else for other rows."""

    def forward(self, features: Features) -> Tensor:
        return features.numeric * 2 if bool((features.numeric > 0).all()) else features.numeric


class InPlace(nn.Module):
    """Writes into what is made of parameters alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 3))

    def forward(self, features: Features) -> Tensor:
        return (self.weight * 2).add_(features.numeric)


@pytest.mark.parametrize("kind", [ByNumpy, ByValue])
@torch.no_grad()
def test_a_model_that_no_trace_stands_for_stays_as_it_is(kind: type[nn.Module]) -> None:
    model = kind()
    assert traced(model, row(0)) is model


@torch.no_grad()
def test_what_is_written_to_is_made_anew_for_each_row() -> None:
    model = InPlace()
    found = traced(model, row(0))
    assert found is not model
    assert all(torch.equal(found(row(seed)), model(row(seed))) for seed in (1, 2, 1))
