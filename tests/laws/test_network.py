"""The heart of the project: an architecture is a space with one option left in every cell."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Literal

import pytest
import torch

from automtl.models.block import CandidateWeights
from automtl.models.network import Network, RelaxedArchitecture, build
from automtl.models.settings import NetworkSettings
from automtl.models.supernet import Supernet
from automtl.space import Architecture, SearchSpace, SpaceSettings, make_space, published_space
from tests.conftest import small_batch, small_layout

SETTINGS = NetworkSettings(embedding_size=8, width=12, towers=(6,))
SPACE = published_space(SpaceSettings(experts=4, layers=2, keep=2), 3)
OWN = published_space(SpaceSettings(experts=4, layers=2, keep=2, expert_interaction=True), 3)
WIDE = make_space(SpaceSettings(preset="wide", experts=4, layers=2, keep=2, selection=True), 3)
SPACES = {"published": SPACE, "an interaction in each expert": OWN, "wide": WIDE}


@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("seed", range(4))
def test_a_one_hot_supernet_equals_the_derived_network(
    seed: int, space: SearchSpace, normalization: Literal["none", "layer"]
) -> None:
    """Zero gate weights with beta of the kept experts as bias; beta at minus infinity on the dropped ones."""
    rng, layout, batch = random.Random(seed), small_layout(), small_batch(seed=seed)
    settings = replace(SETTINGS, normalization=normalization)
    picks = {name: tuple(rng.choice(cell) for cell in choice.cells) for name, choice in space.choices.items()}
    selection = tuple(tuple(sorted(rng.sample(range(4), 2))) for _ in range(3))
    wide = Network(space, layout, settings, gated=False, generator=torch.Generator().manual_seed(seed))
    beta = torch.randn(3, 4)
    open_ = torch.tensor([[expert in chosen for expert in range(4)] for chosen in selection])
    one_hot = {
        name: CandidateWeights(
            torch.tensor([[float(o == pick) for o in cell] for cell, pick in zip(choice.cells, row)])
        )
        for (name, choice), row in zip(space.choices.items(), picks.values(), strict=True)
    }
    relaxed = RelaxedArchitecture(one_hot, beta.masked_fill(~open_, float("-inf")).softmax(dim=1))
    architecture = Architecture(picks, selection).without_idle_experts()
    used = sorted({expert for chosen in selection for expert in chosen})
    derived = build(space.narrow(architecture), layout, settings, seed + 50)
    derived.copy_from(wide, used)
    with torch.no_grad():
        assert derived.gate is not None
        derived.gate.weight.zero_()
        derived.gate.bias.copy_(beta[:, used])
    wide.eval()
    derived.eval()
    torch.testing.assert_close(wide(batch.features, relaxed), derived(batch.features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_one_hot_supernet_with_gates_equals_the_derived_network(seed: int) -> None:
    """The gates of the experts that an architecture lacks are closed."""
    space = make_space(SpaceSettings(preset="wide", experts=4, layers=2, fewest_experts=2), 3)
    rng, layout, batch = random.Random(seed), small_layout(), small_batch(seed=seed)
    supernet = Supernet(space, layout, SETTINGS, torch.Generator().manual_seed(seed))
    architecture = space.sample(rng)
    count = architecture.num_experts
    derived = build(space.narrow(architecture), layout, SETTINGS, seed + 50)
    derived.copy_from(supernet.network, list(range(count)))
    one_hot = {
        name: CandidateWeights(
            torch.tensor([[float(o == pick) for o in cell] for cell, pick in zip(choice.cells, made + made[:1] * 3)])
        )
        for (name, choice), made in zip(space.choices.items(), architecture.choices.values(), strict=True)
    }
    assert supernet.network.gate is not None
    with torch.no_grad():
        supernet.network.gate.bias[:, count:] = float("-inf")
    found = supernet.eval().network(batch.features, RelaxedArchitecture(one_hot, None))
    torch.testing.assert_close(found, derived.eval()(batch.features), rtol=1e-4, atol=1e-5)


def test_a_derived_network_holds_no_absent_candidate_and_no_idle_expert() -> None:
    architecture = SPACE.sample(random.Random(0))
    network = build(SPACE.narrow(architecture), small_layout(), SETTINGS, 0)
    cells = [(placed.choice, cell) for placed in network.placed() for cell in placed.cells]
    assert sorted(cells) == sorted((name, i) for name, made in architecture.choices.items() for i in range(len(made)))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_architectures_round_trip_through_json_and_hash(space: SearchSpace) -> None:
    drawn = {space.sample(random.Random(seed)) for seed in range(5)}
    assert {Architecture.from_json(one.to_json()) for one in drawn} == drawn


def test_narrowing_leaves_one_architecture() -> None:
    architecture = SPACE.sample(random.Random(3))
    narrow = SPACE.narrow(architecture)
    assert narrow.size() == 1
    assert narrow.sample(random.Random(9)) == architecture


def test_homogeneous_experts_share_their_options() -> None:
    alike = replace(SPACE, homogeneous=True)
    supernet = Supernet(alike, small_layout(), SETTINGS, torch.Generator().manual_seed(0))
    architecture = supernet.derive()
    assert len({architecture.expert(index) for index in range(architecture.num_experts)}) == 1
    assert alike.size() < SPACE.size()


def test_the_supernet_keeps_k_experts_for_each_task() -> None:
    supernet = Supernet(SPACE, small_layout(), SETTINGS, torch.Generator().manual_seed(0))
    assert all(len(chosen) == 2 for chosen in supernet.derive().selection)
