"""The supernet: relaxation, derivation, its weights in a derived network."""

from __future__ import annotations

import torch

from automtl.models.network import build, count_parameters
from automtl.models.settings import NetworkSettings
from automtl.models.supernet import Supernet
from automtl.operations import Block
from automtl.space import SpaceSettings, published_space
from tests.conftest import small_batch, small_layout

SETTINGS = NetworkSettings(embedding_size=4, width=8, towers=(4,))
SPACE = published_space(SpaceSettings(experts=4, layers=2, keep=2), 3)


def supernet(seed: int = 0) -> Supernet:
    return Supernet(SPACE, small_layout(), SETTINGS, torch.Generator().manual_seed(seed))


def test_relaxed_weights_sum_to_one() -> None:
    relaxed = supernet().relax()
    assert relaxed.experts is not None
    for weights in (*(of.weights for of in relaxed.choices.values()), relaxed.experts):
        torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))


def test_of_active_candidates_alone_the_weights_sum_to_one() -> None:
    made = supernet()
    for of in made.relax(dict.fromkeys(SPACE.choices, (0, 3))).choices.values():
        assert of.weights.shape[1] == 2
        torch.testing.assert_close(of.weights.sum(1), torch.ones(len(of.weights)))


def test_the_strongest_candidates_and_experts_are_derived() -> None:
    made = supernet()
    with torch.no_grad():
        made.logits.alpha["interaction"][0, 3] = 5
        made.logits.alpha["pooling"][:, 2] = 5
        made.logits.alpha["layer_1"][:, 6] = 5
        made.selection.beta[:, 1:3] = 5
    architecture = made.derive()
    found = {name: [str(option) for option in made] for name, made in architecture.choices.items()}
    assert found["interaction"] == ["bit-gate"]
    assert found["pooling"] == ["attentive", "attentive"]
    assert found["layer_1"] == ["mlp-256", "mlp-256"]
    assert architecture.selection == ((0, 1),) * 3
    assert made.selected() == ((1, 2),) * 3


def test_copied_weights_are_those_of_the_experts_that_are_left() -> None:
    made = supernet()
    with torch.no_grad():
        made.logits.alpha["pooling"][:, 3] = 5  # linear pooling
        made.selection.beta[:, 1:3] = 5
    network = build(SPACE.narrow(made.derive()), small_layout(), SETTINGS, 9)
    made.copy_weights(network)
    wide, narrow = (
        next(p.parameters for p in of.placed() if p.choice == "pooling" and str(p.operation) == "linear")
        for of in (made.network, network)
    )
    assert all(torch.equal(ours, theirs[1:3]) for ours, theirs in zip(narrow, wide, strict=True))
    assert torch.equal(network.embedding.table, made.network.embedding.table)
    assert network(small_batch().features).shape == (40, 3)
    assert count_parameters(network) < count_parameters(made)


def test_three_modules_hold_weights_alpha_and_beta() -> None:
    made = supernet()
    parts = [set(map(id, part.parameters())) for part in (made.network, made.logits, made.selection)]
    assert not parts[0] & parts[1] | parts[1] & parts[2] | parts[0] & parts[2]
    assert set(map(id, made.parameters())) == parts[0] | parts[1] | parts[2]


def test_an_auxiliary_skip_adds_the_input_beside_every_block_that_keeps_the_shape() -> None:
    """Where skips are all there is, each of the four blocks gives its input, and a half of it by the auxiliary skip."""
    chain = SpaceSettings(
        interactions=("skip",), poolings=("sum",), expert_layers=("skip",), layers=2, expert_interaction=True
    )
    settings = NetworkSettings(embedding_size=8, width=8, normalization="none", dropout=0.0)
    made = Supernet(published_space(chain, 3), small_layout(), settings, torch.Generator().manual_seed(0))
    reached: list[torch.Tensor] = []
    made.network.towers.register_forward_pre_hook(lambda _, inputs: reached.append(inputs[0].detach()))
    for made.skips in ({}, {Block.LAYER: 0.5}, {Block.LAYER: 0.5, Block.INTERACTION: 0.5}):
        made(small_batch().features)
    torch.testing.assert_close(reached[1], reached[0] * 1.5**2)
    torch.testing.assert_close(reached[2], reached[0] * 1.5**4)
