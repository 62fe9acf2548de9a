"""Laws of search strategies: classes whose one field is `settings`, of the class that its annotation names."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from automtl.models.network import build
from automtl.models.settings import NetworkSettings
from automtl.search import STRATEGIES, SearchProblem, SearchResult, SearchStrategy
from automtl.space import Architecture, SpaceSettings, published_space
from automtl.system.progress import Event, Progress
from automtl.testing.examples import small_batch, small_layout
from automtl.training.settings import TrainingSettings

SPACE = SpaceSettings(
    experts=3, layers=2, keep=2, interactions=("skip", "bit-gate", "cross-1"),
    expert_layers=("skip", "mlp-16", "conv-3"),
)  # fmt: skip
BUDGET = {"max_steps": 6, "batch_size": 32, "max_rows": 200, "trials": 2, "trainings": 3}
Strategy = type[SearchStrategy]


def small_problem() -> SearchProblem:
    """Make a problem of a small space and a few hundred random rows."""
    network, training = NetworkSettings(4, 8, (6,)), TrainingSettings(epochs=1, batch_size=64)
    train, valid = small_batch(300, seed=1), small_batch(120, seed=2)
    return SearchProblem(published_space(SPACE, 3), small_layout(), train, valid, network, training)


def search(strategy: Strategy, problem: SearchProblem, seed: int = 0, callback: Any = None) -> SearchResult:
    """Search with the strategy's default settings, but a small budget."""
    kind = strategy.settings_class()
    known = {field.name for field in fields(kind)}
    settings = kind(**{name: value for name, value in BUDGET.items() if name in known})
    return strategy(settings).search(problem, seed, callback or (lambda event: None))


def its_name_finds_it(strategy: Strategy) -> None:
    """The name under which the strategy is saved with a run finds it again."""
    assert STRATEGIES.find(STRATEGIES.name_of(strategy)) is strategy


def what_it_finds_is_in_the_space_and_can_be_built(strategy: Strategy) -> None:
    """Each cell of the architecture holds an option of the space; each task keeps as many experts as the space says."""
    problem = small_problem()
    found = search(strategy, problem).architecture
    for name, made in found.choices.items():
        assert all(option in problem.space[name].cells[0] for option in made), f"{name}: an option of no cell"
    assert len(found.selection) == 3 and all(len(chosen) == 2 for chosen in found.selection)
    network = build(problem.space.narrow(found), problem.layout, problem.network, 0)
    assert network(problem.valid.features).shape == (120, 3)


def the_seed_decides_what_it_finds(strategy: Strategy) -> None:
    """A seed gives the same architecture each time, whatever the state of the global generator."""
    results = []
    for start in (1, 2):
        torch.manual_seed(start)
        results.append(search(strategy, small_problem(), seed=5))
    first, second = results
    assert first.architecture == second.architecture, "the same seed found two architectures"
    assert first.architecture == Architecture.from_json(first.architecture.to_json())


def it_leaves_rows_and_global_state_alone(strategy: Strategy) -> None:
    """Rows are read, not written; the global random state is as before."""
    problem, state = small_problem(), torch.get_rng_state()
    search(strategy, problem)
    for rows, seed, count in ((problem.train, 1, 300), (problem.valid, 2, 120)):
        fresh = small_batch(count, seed=seed)
        assert torch.equal(rows.labels, fresh.labels) and torch.equal(rows.features.numeric, fresh.features.numeric)
    assert torch.equal(torch.get_rng_state(), state), "the global random state has changed"


def it_reports_progress(strategy: Strategy) -> None:
    """The callback is told how far the search is."""
    events: list[Event] = []
    search(strategy, small_problem(), callback=events.append)
    steps = [event for event in events if isinstance(event, Progress)]
    assert steps, "no progress was reported"
    assert all(0 <= event.step <= event.total for event in steps)


STRATEGY_LAWS = (
    its_name_finds_it,
    what_it_finds_is_in_the_space_and_can_be_built,
    the_seed_decides_what_it_finds,
    it_leaves_rows_and_global_state_alone,
    it_reports_progress,
)
