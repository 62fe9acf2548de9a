"""Random search on the budget of a search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from automtl.models.network import build
from automtl.search import SearchProblem
from automtl.search.random_search import RandomSearch, RandomSettings, row_flops, search_flops
from automtl.space import Architecture
from automtl.system.progress import Progress, ignore
from tests.search.test_search import BUDGET, SPACE, problem

EQUAL = RandomSettings(**BUDGET | {"epochs": 10, "max_steps": 30})


def searched(trials: int | None, callback: Any = ignore) -> dict[str, Any]:
    return RandomSearch(replace(EQUAL, trials=trials)).search(problem(), 0, callback).history


def test_trials_go_on_while_another_one_fits_into_what_the_search_would_cost() -> None:
    seen: list[Progress] = []
    history = searched(None, seen.append)
    spent = sum(trial["flops"] for trial in history["trials"])
    count = len(history["trials"])
    assert count > 2
    assert spent <= history["budget"] * (count + 1) / count
    assert spent + spent / count > history["budget"]
    assert [progress.step for progress in seen] == sorted(progress.step for progress in seen)


def test_a_budget_that_is_too_small_gives_one_trial() -> None:
    small = replace(EQUAL, max_steps=1)
    assert len(RandomSearch(small).search(problem(), 0, ignore).history["trials"]) == 1


def test_a_given_number_of_trials_is_kept_and_its_first_are_the_same() -> None:
    three = searched(3)["trials"]
    assert three == searched(None)["trials"][:3]
    assert searched(2)["trials"] == three[:2]


def test_the_best_trial_wins() -> None:
    found = RandomSearch(replace(EQUAL, trials=3)).search(problem(), 0, ignore)
    best = min(found.history["trials"], key=lambda trial: trial["score"])
    assert Architecture.from_dict(best["architecture"]) == found.architecture
    assert best["skips"] == found.architecture.num_skips


def test_the_budget_grows_with_steps_and_a_training_with_the_operations_of_its_architecture() -> None:
    thirty, sixty = (search_flops(problem(), replace(EQUAL, epochs=20, max_steps=steps), 0) for steps in (30, 60))
    assert sixty == pytest.approx(2 * thirty)
    small, large = operations(problem(), "skip"), operations(problem(), "mlp-16")
    # per row, expert and layer: two products of 8 x 16, forward, for the input's and for the weights' gradients
    assert large - small == pytest.approx(3 * 2 * 2 * 8 * 16 * 3)


def operations(given: SearchProblem, layer: str) -> float:
    values = {
        "choices": {"interaction": ["skip"], "pooling": ["sum"] * 3, "layer_1": [layer] * 3},
        "selection": [[0, 1, 2]] * 3,
    }  # fmt: skip
    network = build(SPACE.narrow(Architecture.from_dict(values)), given.layout, given.network, 0)
    before = [parameter.clone() for parameter in network.parameters()]
    found = row_flops(network, given, given.train)
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, network.parameters(), strict=True))
    return found
