"""Trainings and searches whose numbers are no longer finite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from automtl.errors import DivergedError
from automtl.features.batch import Batch
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.search import STRATEGIES, SearchProblem
from automtl.search.search_run import SearchRun
from automtl.system.journal import Journal, recording
from automtl.system.progress import Event, Notice
from automtl.tables.schema import Task, TaskKind
from automtl.testing.strategies import small_problem
from automtl.training.divergence import NotFiniteError, diverged
from automtl.training.fit import FitResult, fit
from automtl.training.settings import TrainingSettings
from automtl.training.updates import Updates
from tests.conftest import small_batch, small_layout
from tests.training.test_resume import Stopped, Stopping

TASKS = tuple(Task(f"t{index}") for index in range(3))
NETWORK = NetworkSettings(embedding_size=4, width=8, towers=(4,), dropout=0.3)
SETTINGS = TrainingSettings(epochs=4, batch_size=16, learning_rate=0.01, evaluate_every=32, patience=99)


def trained(
    train: Batch | None = None, valid: Batch | None = None, told: Callable[[Event], None] = lambda _: None,
    **changes: Any,
) -> tuple[nn.Module, FitResult]:  # fmt: skip
    model = MODELS.find("mmoe")(small_layout(), NETWORK, torch.Generator().manual_seed(0))
    rows, checks = train or small_batch(100), valid or small_batch(60, seed=2)
    return model, fit(model, rows, checks, TASKS, replace(SETTINGS, **changes), 5, told)


@pytest.fixture
def breaks_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let a weight become infinite in a step, counted from 1, at the learning rate of the settings alone."""
    apply = Updates.apply

    def install(number: int) -> None:
        def breaking(updates: Updates) -> None:
            apply(updates)
            if updates.steps == number and updates.dense.param_groups[0]["lr"] == SETTINGS.learning_rate:
                with torch.no_grad():
                    updates.parameters[-1].fill_(torch.inf)

        monkeypatch.setattr(Updates, "apply", breaking)

    return install


def with_numeric(batch: Batch, row: int, column: int, value: float) -> Batch:
    numeric = batch.features.numeric.clone()
    numeric[row, column] = value
    return replace(batch, features=replace(batch.features, numeric=numeric))


@pytest.mark.parametrize(("step", "seen"), [(1, 0), (10, 132), (14, 200)])
def test_a_training_goes_on_from_the_last_good_state_at_a_tenth_of_the_rate(
    step: int, seen: int, breaks_at: Callable[[int], None]
) -> None:
    undisturbed, told = trained()[1], list[Event]()
    breaks_at(step)
    _, result = trained(told=told.append)
    (said,) = [event.text for event in told if isinstance(event, Notice)]
    assert f"going back to the state after {seen} rows, with a learning rate of 0.001" in said
    good = sum(one.rows <= seen for one in undisturbed.evaluations)
    assert result.evaluations[:good] == undisturbed.evaluations[:good]
    assert [one.rows for one in result.evaluations] == [one.rows for one in undisturbed.evaluations]
    assert all(torch.tensor(one.score).isfinite() for one in result.evaluations)


def test_a_training_that_went_back_goes_on_to_the_same_bits_after_any_stop(
    breaks_at: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("automtl.system.journal.SHARE", 1e9)
    breaks_at(9)
    wanted, stops = trained(), 0
    for states in (8, 3, 4, 2, 7):
        with recording(Stopping(tmp_path, states, written=True)):
            try:
                trained()
            except Stopped:
                stops += 1
    with recording(Journal(tmp_path, 0)):
        found = trained()
    assert stops >= 4 and found[1].evaluations == wanted[1].evaluations
    for one, other in zip(wanted[0].state_dict().values(), found[0].state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 3e38])
def test_the_second_time_names_task_batch_and_column(value: float) -> None:
    with pytest.raises(DivergedError) as error:
        trained(with_numeric(small_batch(100), 37, 2, value))
    said = str(error.value)
    assert "in epoch 1, batch " in said and "of column 'z', row" in said and "below 0.001" in said
    assert ("an input is not finite" in said) == (value != 3e38)
    assert "task 't" in said or "the gradient is not finite" in said


def test_validation_rows_that_are_not_finite_are_named() -> None:
    with pytest.raises(DivergedError, match="on validation rows is not finite, again .*nan .* of column 'x', row 8"):
        trained(valid=with_numeric(small_batch(60, seed=2), 7, 0, torch.nan))


def test_a_balancing_whose_solver_fails_is_no_other_error() -> None:
    with pytest.raises(DivergedError, match="column 'y'"):
        trained(with_numeric(small_batch(100), 3, 1, torch.nan), balancing="cagrad")


def test_the_largest_label_of_a_number_is_named() -> None:
    tasks = (Task("watched", kind=TaskKind.REGRESSION),)
    batch = small_batch(4, num_tasks=1)
    batch = replace(batch, labels=torch.tensor([[1.0], [-7e20], [3.0], [2.0]]), mask=torch.ones(4, 1))
    found = NotFiniteError("the loss of task 'watched' is inf", batch, 0, " in epoch 1, batch 2 (rows 5 to 8)")
    said = str(diverged("training mmoe", found, nn.Identity(), tasks, 0.1))
    assert "the largest label of 'watched' there is 7e+20" in said and "numeric input" in said


def begun(train: Batch | None = None) -> SearchRun:
    strategy: Any = STRATEGIES.find("progressive")
    given = small_problem() if train is None else replace(small_problem(), train=train)
    return strategy(strategy.settings_class()(min_steps=1, max_steps=30, batch_size=16, patience=None)).begin(given, 3)


@pytest.mark.parametrize("step", [1, 13])
def test_a_search_goes_on_from_the_last_good_state(step: int) -> None:
    run, told = begun(), list[Event]()
    while not run.finished:
        if run.state.step == step and not run.slowed:
            with torch.no_grad():
                next(iter(run.state.supernet.network.parameters())).fill_(torch.nan)
        run.advance(told.append)
    (said,) = [event.text for event in told if isinstance(event, Notice)]
    assert "going back to the state after" in said and run.settings.learning_rate == pytest.approx(2e-4)
    steps = [record["step"] for record in run.state.history]
    assert steps == sorted(set(steps)) and run.state.step == run.schedule.total
    assert all(torch.isfinite(one).all() for one in run.state.supernet.parameters())


def test_a_search_that_diverges_twice_names_the_batch() -> None:
    rows = small_problem().train
    run = begun(with_numeric(rows, len(rows) // 2, 1, torch.inf))

    def finish() -> None:
        while not run.finished:
            run.advance(lambda _: None)

    with pytest.raises(DivergedError, match=r"search: .*epoch \d+, .* batch \d+ \(rows .*of column 'y'"):
        finish()


def test_the_default_strategy_goes_on_without_a_training_that_diverges(monkeypatch: pytest.MonkeyPatch) -> None:
    told, diverging = list[Event](), ["training network 2"]

    def failing(training: Any) -> Any:
        if training.stage in diverging:
            raise DivergedError(f"{training.stage}: the loss is nan")
        return advance(training)

    from automtl.training.fit import Training

    advance = Training.advance
    monkeypatch.setattr(Training, "advance", failing)
    strategy: Any = STRATEGIES.find("halving")
    given: SearchProblem = small_problem()
    found = strategy(strategy.settings_class()(trainings=3)).search(given, 1, told.append)
    assert len(found.history["trials"]) == 2
    assert any(isinstance(one, Notice) and "network 2" in one.text and "left out" in one.text for one in told)
    diverging += ["training network 1", "training network 3"]
    with pytest.raises(DivergedError, match="network 1"):
        strategy(strategy.settings_class()(trainings=3)).search(given, 1, told.append)
