"""The derived network: mean gate weights."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from automtl.models.network import Network, build, mean_gate_weights, member_selection
from automtl.models.settings import NetworkSettings
from automtl.models.supernet import Supernet
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


SETTINGS = NetworkSettings(embedding_size=8, width=16, towers=(8,))


def network_of(members: int, seed: int = 0, *, selection: bool = False) -> Network:
    """Build a drawn network of four experts and three tasks."""
    space = published_space(SpaceSettings(experts=4, keep=3, selection=selection), 3)
    settings = replace(SETTINGS, members=members)
    return build(space.narrow(space.sample(random.Random(seed))), small_layout(), settings, seed).eval()


def test_experts_are_dealt_to_members_in_turn() -> None:
    assert member_selection(((0, 1, 2), (3,)), 1) == ((0, 1, 2), (3,))
    assert member_selection(((0, 1, 2), (3,)), 2) == ((0, 2), (3,), (1,), (3,))
    assert set(member_selection(((4, 7),), 5)) == {(4,), (7,)}


@pytest.mark.parametrize("selection", [False, True])
@pytest.mark.parametrize("members", [2, 3, 6])
def test_logits_are_the_mean_of_members_with_towers_of_their_own(members: int, selection: bool) -> None:
    network, features = network_of(members, selection=selection), small_batch().features
    found = network.member_logits(features)
    assert found.shape == (members, 40, 3)
    torch.testing.assert_close(network(features), found.mean(0))
    last = network.towers.layers.layers[-1].bias  # (K T, 1, 1)
    with torch.no_grad():
        last[3:6] += 1.0  # of the second member
    moved = network.member_logits(features) - found
    torch.testing.assert_close(moved, torch.eye(members)[1].view(-1, 1, 1).expand_as(moved))


def test_one_member_is_the_network_without_members() -> None:
    network, features = network_of(1), small_batch().features
    assert torch.equal(network.member_logits(features)[0], network(features))


def test_members_learn_from_their_own_losses_on_experts_of_their_own() -> None:
    network, features = network_of(4), small_batch().features
    network.member_logits(features)[2].square().sum().backward()
    assert network.gate is not None
    gradient = network.towers.layers.layers[0].weight.grad
    assert gradient is not None
    assert [bool(part.any()) for part in gradient.unflatten(0, (4, 3))] == [False, False, True, False]


def test_members_start_from_a_supernet_of_one_member() -> None:
    space = published_space(SpaceSettings(experts=4, selection=False), 3)
    settings = replace(SETTINGS, members=2)
    supernet = Supernet(space, small_layout(), settings, torch.Generator().manual_seed(0))
    network = build(space.narrow(space.sample(random.Random(1))), small_layout(), settings, 1)
    network.copy_from(supernet.network, [0, 1, 2, 3])
    assert network.gate is not None and supernet.network.gate is not None
    torch.testing.assert_close(network.gate.bias, supernet.network.gate.bias.repeat(2, 1))
    weight = network.towers.layers.layers[0].weight
    torch.testing.assert_close(weight[:3], weight[3:])


def test_mean_gate_weights_are_those_of_all_members() -> None:
    network = network_of(2)
    found = torch.tensor(mean_gate_weights(network, small_batch()))
    torch.testing.assert_close(found.sum(1), torch.ones(3), atol=1e-4, rtol=0)
    assert bool((found > 0).all())
