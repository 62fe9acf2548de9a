"""Short trainings that compare what was found with experts made by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from automtl.errors import SpaceError
from automtl.features.batch import subset
from automtl.models.network import build
from automtl.nn.embedding import FieldEmbedding
from automtl.operations import operation
from automtl.search import SearchProblem, SearchResult
from automtl.search.baseline_check import alternatives, check_against_baseline
from automtl.search.progressive import Progressive
from automtl.space import Architecture, SpaceSettings, published_space
from automtl.system.progress import Event, ignore
from automtl.training.fit import fit
from tests.conftest import small_layout
from tests.search.test_search import NETWORK, PROGRESSIVE, problem

LINEAR = {"pooling": operation("linear"), "layer_1": operation("mlp-16")}
WIDE = published_space(SpaceSettings(experts=3, layers=3), 2)


def pretrained() -> FieldEmbedding:
    return FieldEmbedding(small_layout(), NETWORK.embedding_size, torch.Generator().manual_seed(9))


def test_alternatives_are_the_found_one_and_baseline_parts_of_it() -> None:
    found = WIDE.sample(random.Random(0))
    named = alternatives(
        found,
        WIDE,
        LINEAR | {f"layer_{place}": operation(text) for place, text in enumerate(("mlp-64", "mlp-64", "skip"), 1)},
    )
    made = list(named)
    assert made[0] == found
    names = ["as found", "baseline poolings", "baseline poolings and layers", "baseline without interactions"]
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
    made = alternatives(found, space, LINEAR | {"pooling": operation("sum")})
    assert {name for one in made for name in found.choices if one[name] != found[name]} == {"pooling"}


def test_the_best_on_validation_rows_is_taken_as_a_plain_loop_finds_it() -> None:
    given = replace(problem(), embedding=pretrained())
    found = given.space.sample(random.Random(2))
    result = check_against_baseline(SearchResult(found, 0.0), LINEAR, 100, given, 5, ignore)
    chosen, trials = result.architecture, result.history["trials"]
    scores, rows = [], subset(given.train, len(given.train) // 2, 5)
    training = replace(given.training, epochs=1, batch_size=given.training.batch_size // 2)
    for trial in trials:
        architecture = Architecture.from_dict(trial["architecture"])
        network = build(given.space.narrow(architecture), given.layout, given.network, 5)
        network.embedding.load_state_dict(pretrained().state_dict())
        result = fit(network, rows, given.valid, given.layout.tasks, training, 5)
        scores.append((result.score, architecture))
    assert [score for score, _ in scores] == [trial["score"] for trial in trials]
    assert chosen == min(scores, key=lambda entry: entry[0])[1]


@pytest.mark.parametrize(
    ("changes", "max_rows"), [({"embedding": None}, 100), ({}, 0)], ids=["no embedding", "no rows"]
)
def test_without_a_pretrained_embedding_or_rows_nothing_is_tried(changes: dict[str, None], max_rows: int) -> None:
    given = replace(problem(), **{"embedding": pretrained()} | changes)
    found = SearchResult(given.space.sample(random.Random(3)), 0.0)
    checked = check_against_baseline(found, LINEAR, max_rows, given, 0, _never)
    assert checked == replace(found, history={"trials": []})


def searched(given: SearchProblem, **changes: Any) -> SearchResult:
    settings = replace(PROGRESSIVE, baseline_layers=("mlp-16",), **changes)
    return Progressive(settings).search(given, 0, ignore)


def test_the_progressive_search_writes_down_its_trials() -> None:
    result = searched(replace(problem(), embedding=pretrained()))
    trials = result.history["trials"]
    best = min(trials, key=lambda trial: trial["score"])
    assert Architecture.from_dict(best["architecture"]) == result.architecture
    assert len(trials) > 1


def test_before_a_warm_start_and_without_the_embedding_nothing_is_tried() -> None:
    given = replace(problem(), embedding=pretrained())
    warm = searched(replace(given, warm_start=True))
    assert warm.history["trials"] == [] and warm.supernet is not None
    assert searched(given, pretrained_embedding=False).history["trials"] == []


def test_a_baseline_part_that_is_no_operation_is_an_error_before_any_step() -> None:
    with pytest.raises(SpaceError, match="'nonsense' is unknown; known: skip"):
        Progressive(replace(PROGRESSIVE, baseline_pooling="nonsense")).search(problem(), 0, _never)


def _never(event: Event) -> None:
    raise AssertionError(event)
