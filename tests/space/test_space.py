"""Search spaces and architectures as values."""

from __future__ import annotations

import math
import random
from dataclasses import FrozenInstanceError

import pytest

from automtl.errors import SpaceError
from automtl.space import Architecture, SpaceSettings, published_space


def test_the_published_space_has_the_papers_counts() -> None:
    space = published_space(SpaceSettings(), 4)
    assert space.size() == 13 * 4**8 * 13**24 * math.comb(8, 3) ** 4


@pytest.mark.parametrize(("tasks", "keep"), [(1, 6), (2, 6), (3, 4), (4, 3), (7, 3)])
def test_k_follows_the_number_of_tasks(tasks: int, keep: int) -> None:
    assert published_space(SpaceSettings(), tasks).keep == keep
    assert published_space(SpaceSettings(experts=2), tasks).keep == 2


def test_sampling_draws_from_every_cell_and_by_the_generator_given() -> None:
    space = published_space(SpaceSettings(), 4)
    drawn = [space.sample(random.Random(seed)) for seed in range(60)]
    for name in ("interaction", "pooling"):
        assert {option for architecture in drawn for option in architecture[name]} == set(space[name].options)
    assert drawn[7] == space.sample(random.Random(7))


def test_ablations_narrow_the_space() -> None:
    plain = published_space(SpaceSettings(), 4)
    for changed in (
        SpaceSettings(interaction=False),
        SpaceSettings(homogeneous=True),
        SpaceSettings(selection=False),
    ):
        assert published_space(changed, 4).size() < plain.size()
    assert published_space(SpaceSettings(expert_interaction=True), 4).size() == plain.size() * 13**8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SpaceSettings(poolings=("mlp-16",)), "cannot stand in a pooling block"),
        (SpaceSettings(expert_layers=()), "has no candidate left"),
        (SpaceSettings(expert_layers=("skip", "skip")), "names a candidate twice"),
    ],
)
def test_impossible_spaces_are_refused(settings: SpaceSettings, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        published_space(settings, 2)


def test_an_architecture_is_immutable_and_counts_its_skips() -> None:
    architecture = Architecture.from_json(
        '{"choices": {"interaction": ["skip"], "pooling": ["sum"], "layer_1": ["skip"], "layer_2": ["mlp-16"]}, '
        '"selection": [[0]]}'
    )
    assert architecture.num_skips == 2
    with pytest.raises(FrozenInstanceError):
        architecture.selection = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "not json",
        '{"choices": {"interaction": ["skip"], "pooling": []}, "selection": [[0]]}',
        '{"choices": {"interaction": ["skip", "skip"], "pooling": ["sum"]}, "selection": [[0]]}',
        '{"choices": {"interaction": ["skip"], "pooling": ["sum"], "layer_2": ["skip"]}, "selection": [[0]]}',
    ],
)
def test_what_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match="not an architecture"):
        Architecture.from_json(text)


def test_a_drawing_names_every_expert_and_who_uses_it() -> None:
    space = published_space(SpaceSettings(experts=3, layers=1, expert_interaction=True), 2)
    architecture = space.sample(random.Random(1))
    drawing = architecture.draw(["click", "buy"])
    for index in range(architecture.num_experts):
        assert f"expert {index}: " + " → ".join(map(str, architecture.expert(index))) in drawing
    assert "click: gate over experts" in drawing
