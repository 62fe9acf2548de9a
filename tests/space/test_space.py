"""Search spaces and architectures as values."""

from __future__ import annotations

import math
import random
from dataclasses import FrozenInstanceError

import pytest

from automtl.errors import SpaceError
from automtl.space import Architecture, SearchSpace, SpaceSettings, make_space, published_space


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
        "[" * 100_000,
        '{"choices": {"interaction": ["skip"], "pooling": ["sum"]}, "selection": [[Infinity]]}',
        '{"choices": {"interaction": ["skip"], "pooling": ["sum"]}, "selection": [[1]]}',
        '{"choices": {"interaction": ["skip"], "pooling": ["sum"]}, "selection": [[]]}',
        '{"choices": {"interaction": ["skip"], "pooling": ["sum"]}, "selection": []}',
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
        assert f"E{index}: " + " → ".join(map(str, architecture.expert(index))) in drawing
    assert "click: gate over E" in drawing


MUTATED = {
    "published": SpaceSettings(experts=4, layers=2, keep=2),
    "an interaction in each expert": SpaceSettings(experts=4, layers=2, keep=2, expert_interaction=True),
    "experts alike": SpaceSettings(experts=4, layers=2, keep=2, homogeneous=True),
    "all experts": SpaceSettings(experts=4, layers=2, selection=False),
    "wide": SpaceSettings(preset="wide", experts=4, fewest_experts=2, layers=2),
}


def changed(before: Architecture, after: Architecture) -> set[int]:
    """Return the experts that differ between two architectures of equally many; -1: the interaction of all."""
    experts = {index for index in range(after.num_experts) if before.expert(index) != after.expert(index)}
    return experts | ({-1} if before["interaction"] != after["interaction"] else set())


@pytest.mark.parametrize("settings", MUTATED.values(), ids=MUTATED)
@pytest.mark.parametrize("seed", range(4))
def test_a_mutation_changes_one_decision_and_stays_in_the_space(settings: SpaceSettings, seed: int) -> None:
    space, rng = make_space(settings, 3), random.Random(seed)
    before, seen = space.sample(rng), set()
    for _ in range(100):
        after = space.mutate(before, rng)
        assert after != before or settings.homogeneous
        assert after == after.without_idle_experts()
        assert all(len(chosen) == space.keep or space.fewest for chosen in after.selection)
        assert abs(after.num_experts - before.num_experts) <= 1
        assert all(option in space[name].options for name in after.choices for option in after[name])
        if settings.homogeneous:
            assert len({after.expert(index) for index in range(after.num_experts)}) == 1
        elif after.num_experts == before.num_experts and after.selection == before.selection:
            assert len(changed(before, after)) == 1
        seen.add(after)
        before = after
    assert len(seen) > 70


def test_mutations_reach_every_option_of_a_cell_and_every_expert() -> None:
    space, rng = published_space(SpaceSettings(experts=3, layers=1, keep=1), 1), random.Random(0)
    before = space.sample(rng)
    found = [space.mutate(before, rng) for _ in range(3000)]
    for name in before.choices:
        assert {option for one in found for option in one[name]} == set(space[name].options)


def test_mutation_is_decided_by_the_generator_given() -> None:
    space = published_space(SpaceSettings(), 4)
    before = space.sample(random.Random(0))
    assert space.mutate(before, random.Random(1)) == space.mutate(before, random.Random(1))


def test_nothing_to_decide_leaves_an_architecture_as_it_is() -> None:
    before = published_space(SpaceSettings(), 4).sample(random.Random(0))
    assert SearchSpace.of(before).mutate(before, random.Random(1)) == before


def test_an_architecture_of_another_space_is_refused() -> None:
    before = published_space(SpaceSettings(), 4).sample(random.Random(0))
    other = published_space(SpaceSettings(poolings=("sum",), expert_layers=("mlp-8",)), 4)
    with pytest.raises(SpaceError, match="not of this space"):
        other.mutate(before, random.Random(0))


def test_the_wide_space_chooses_the_number_of_experts() -> None:
    space = make_space(SpaceSettings(preset="wide", experts=6, layers=1), 2)
    drawn = [space.sample(random.Random(seed)) for seed in range(60)]
    assert {one.num_experts for one in drawn} == {4, 5, 6}
    assert all(one.selection == (tuple(range(one.num_experts)),) * 2 for one in drawn)
    for name in space.choices:
        assert {option for one in drawn for option in one[name]} == set(space[name].options)
    shared, own, rest = 6, 5 * 5, (4, 5, 6)
    assert space.size() == shared * sum(own**number for number in rest)


def test_settings_change_the_wide_space_and_keep_its_other_parts() -> None:
    space = make_space(SpaceSettings(preset="wide", poolings=("linear",), experts=3, selection=True), 2)
    assert list(space.choices) == ["interaction", "pooling", "layer_1", "layer_2", "layer_3"]
    assert (space.fewest, space.gated, space.keep) == (None, False, 3)
    assert [str(option) for option in space["pooling"].options] == ["linear"]


@pytest.mark.parametrize(
    "settings", [SpaceSettings(fewest_experts=2), SpaceSettings(selection=False, fewest_experts=9)]
)
def test_an_impossible_number_of_experts_is_refused(settings: SpaceSettings) -> None:
    with pytest.raises(SpaceError, match="fewest_experts"):
        make_space(settings, 2)
