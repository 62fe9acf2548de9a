"""Short trainings that hold what was found against experts made by hand."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from automtl.errors import SpaceError
from automtl.features.batch import subset
from automtl.models.network import build
from automtl.nn.embedding import FieldEmbedding
from automtl.search import STRATEGIES, SearchSettings
from automtl.search.trials import alternatives, held_against_plain
from automtl.space import Architecture, SpaceSettings, published_space
from automtl.system.progress import Progress, ignore
from automtl.training.fit import fit
from tests.conftest import small_layout
from tests.search.test_search import ECONOMY, NETWORK, problem

PLAIN = replace(ECONOMY, plain_layers=("mlp-16",))
WIDE = published_space(SpaceSettings(experts=3, layers=3), 2)


def lent() -> FieldEmbedding:
    return FieldEmbedding(small_layout(), NETWORK.embedding_size, torch.Generator().manual_seed(9))


def test_alternatives_are_the_found_one_and_plain_parts_of_it() -> None:
    found = WIDE.sample(random.Random(0))
    named = alternatives(found, WIDE, SearchSettings())
    made = list(named)
    assert made[0] == found
    names = ["as found", "plain poolings", "plain poolings and layers", "the same without interactions"]
    assert list(named.values()) == names
    poolings = [set(map(str, architecture["pooling"])) for architecture in made]
    layers = [{tuple(map(str, one.expert(index)[1:])) for index in range(one.num_experts)} for one in made]
    assert poolings[1:] == [{"linear"}] * 3
    assert layers[1] == layers[0]
    assert layers[2:] == [{("mlp-64", "mlp-64", "skip")}] * 2
    interactions = [str(*architecture["interaction"]) for architecture in made]
    assert interactions == [interactions[0]] * 3 + ["skip"]
    assert {architecture.selection for architecture in made} == {found.selection}
    assert all(WIDE.narrow(architecture) for architecture in made)


def test_parts_that_the_space_lacks_stay_as_found() -> None:
    space = published_space(SpaceSettings(experts=2, expert_layers=("skip", "conv-3"), interaction=False), 2)
    found = space.sample(random.Random(1))
    made = alternatives(found, space, replace(SearchSettings(), plain_pooling="sum"))
    assert {name for one in made for name in found.choices if one[name] != found[name]} == {"pooling"}


def test_the_best_on_validation_rows_is_taken_as_a_plain_loop_finds_it() -> None:
    given = replace(problem(), embedding=lent())
    found = given.space.sample(random.Random(2))
    chosen, trials = held_against_plain(found, given, PLAIN, 5, ignore)
    scores, rows = [], subset(given.train, len(given.train) // 2, 5)
    training = replace(given.training, epochs=1, batch_size=given.training.batch_size // 2)
    for trial in trials:
        architecture = Architecture.from_dict(trial["architecture"])
        network = build(given.space.narrow(architecture), given.layout, given.network, 5)
        network.embedding.load_state_dict(lent().state_dict())
        result = fit(network, rows, given.valid, given.layout.tasks, training, 5)
        scores.append((result.score, architecture))
    assert [score for score, _ in scores] == [trial["score"] for trial in trials]
    assert chosen == min(scores, key=lambda entry: entry[0])[1]


def test_without_a_lent_embedding_or_rows_nothing_is_tried() -> None:
    found = problem().space.sample(random.Random(3))
    assert held_against_plain(found, problem(), PLAIN, 0, ignore) == (found, [])
    given = replace(problem(), embedding=lent())
    assert held_against_plain(found, given, replace(PLAIN, trial_rows=0), 0, ignore) == (found, [])


def test_the_progressive_search_writes_down_its_trials() -> None:
    result = STRATEGIES["progressive"](PLAIN).search(replace(problem(), embedding=lent()), 0, ignore)
    trials = result.history["trials"]
    best = min(trials, key=lambda trial: trial["score"])
    assert Architecture.from_dict(best["architecture"]) == result.architecture
    assert len(trials) > 1


def test_a_plain_part_that_is_no_operation_is_an_error_before_any_step() -> None:
    with pytest.raises(SpaceError, match="'nonsense' is unknown; known: skip"):
        STRATEGIES["progressive"](replace(PLAIN, plain_pooling="nonsense")).search(problem(), 0, _never)


def _never(progress: Progress) -> None:
    raise AssertionError(progress)
