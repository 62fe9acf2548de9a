"""The derived network: mean gate weights."""

from __future__ import annotations

import random

import torch
from torch import nn

from automtl.models.network import build, mean_gate_weights
from automtl.models.settings import NetworkSettings
from automtl.space import SpaceSettings, published_space
from tests.conftest import small_batch, small_layout


def test_mean_gate_weights_are_the_mean_of_the_gates_and_closed_experts_have_none() -> None:
    space = published_space(SpaceSettings(experts=4, keep=2, interactions=("vector-gate",)), 3)
    architecture = space.sample(random.Random(0))
    settings = NetworkSettings(embedding_size=8, width=16, towers=(8,))
    network = build(space.narrow(architecture), small_layout(), settings, 0).eval()
    batch = small_batch()
    found = torch.tensor(mean_gate_weights(network, batch))
    seen: list[torch.Tensor] = []
    assert network.gate is not None
    network.gate.register_forward_hook(lambda gate, inputs, _: seen.append(gate.shares(inputs[0]).mean(0)))
    network(batch.features)
    torch.testing.assert_close(found, seen[0].detach(), atol=2e-5, rtol=0)
    for task, chosen in enumerate(architecture.selection):
        assert set(torch.nonzero(found[task]).flatten().tolist()) == set(chosen)


def test_other_models_have_no_gate_weights() -> None:
    assert mean_gate_weights(nn.Linear(2, 2), small_batch()) is None
