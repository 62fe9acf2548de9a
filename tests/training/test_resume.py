"""A training that is stopped goes on as if it had not been."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from automtl.features.batch import Batch
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.search import STRATEGIES, SearchResult
from automtl.system.journal import Journal, State, recording
from automtl.tables.schema import Task
from automtl.testing.strategies import search, small_problem
from automtl.training.evaluation import predict_logits
from automtl.training.fit import FitResult, Training, fit
from automtl.training.settings import TrainingSettings
from tests.conftest import small_batch, small_layout

TASKS = tuple(Task(f"t{index}") for index in range(3))
NETWORK = NetworkSettings(embedding_size=4, width=8, towers=(4,), dropout=0.3)
SETTINGS = TrainingSettings(epochs=4, batch_size=16, learning_rate=0.01, evaluate_every=32, patience=3)
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "mmoe": ("mmoe", {}),
    "tables by rows": ("mmoe", {"embedding_updates": "row-wise"}),
    "parts that stop apart": ("single-task", {}),
    "members": ("tabm", {}),
    "no average": ("shared-bottom", {"averaging": 0.0}),
    "row shards": ("shared-bottom", {"row_shards": 3}),
    "a balancing that draws": ("mmoe", {"balancing": "pcgrad"}),
    "a balancing that remembers": ("mmoe", {"balancing": "uncertainty"}),
}


class Stopped(Exception):
    """Stands for the end of the process."""


class Stopping(Journal):
    """A journal whose process ends before or after it has written its k-th state."""

    def __init__(self, folder: Path, states: int, *, written: bool) -> None:
        super().__init__(folder, seconds=0)
        self.states, self.written = states, written

    def write(self, number: int, identity: str, state: State) -> None:
        self.states -= 1
        if self.states == 0 and not self.written:
            raise Stopped
        super().write(number, identity, state)
        if self.states == 0:
            raise Stopped


def made(kind: str) -> tuple[nn.Module, TrainingSettings]:
    name, changes = KINDS[kind]
    model = MODELS.find(name)(small_layout(), NETWORK, torch.Generator().manual_seed(0))
    return model, replace(SETTINGS, **changes)


def trained(kind: str, train: Batch) -> tuple[nn.Module, FitResult]:
    model, settings = made(kind)
    return model, fit(model, train, small_batch(60, seed=2), TASKS, settings, 5)


def same(found: tuple[nn.Module, FitResult], wanted: tuple[nn.Module, FitResult]) -> None:
    assert found[1].evaluations == wanted[1].evaluations and found[1].best == wanted[1].best
    for (name, one), other in zip(wanted[0].state_dict().items(), found[0].state_dict().values(), strict=True):
        assert torch.equal(one, other), name


@pytest.fixture
def every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are written however long that takes."""
    monkeypatch.setattr("automtl.system.journal.SHARE", 1e9)


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written", [True, False])
def test_a_training_goes_on_from_any_batch_to_the_bit(kind: str, written: bool, tmp_path: Path) -> None:
    train = small_batch(100)
    wanted, stops = trained(kind, train), 0
    for states in (1, 2, 5, 7, 6, 3, 8):
        with recording(Stopping(tmp_path, states, written=written)):
            try:
                found = trained(kind, train)
            except Stopped:
                stops += 1
                continue
        break
    else:
        with recording(Journal(tmp_path, 0)):
            found = trained(kind, train)
    assert stops
    same(found, wanted)


@pytest.mark.usefixtures("every_batch")
def test_rows_that_are_shuffled_by_blocks_come_in_the_same_order(tmp_path: Path) -> None:
    train = replace(small_batch(100), buffer_rows=40)
    wanted = trained("mmoe", train)
    with recording(Stopping(tmp_path, 9, written=True)), pytest.raises(Stopped):
        trained("mmoe", train)
    with recording(Journal(tmp_path)):
        same(trained("mmoe", train), wanted)


@pytest.mark.usefixtures("every_batch")
def test_trainings_that_pause_in_turns_go_on_in_turns(tmp_path: Path) -> None:
    def both() -> list[tuple[nn.Module, FitResult]]:
        parts = [(made("mmoe"), seed) for seed in (3, 4)]
        valid = small_batch(60, seed=2)
        turns = [
            Training(model, small_batch(100), valid, TASKS, settings, seed, stage=f"training {seed}")
            for (model, settings), seed in parts
        ]
        for _ in range(2):
            for one in turns:
                one.advance()
        while turns[1].advance() is not None:
            pass
        return [(one.model, one.finish()) for one in turns]

    wanted = both()
    for states in (6, 7, 5):
        with recording(Stopping(tmp_path, states, written=True)), pytest.raises(Stopped):
            both()
    with recording(Journal(tmp_path)):
        for found, expected in zip(both(), wanted, strict=True):
            same(found, expected)


@pytest.mark.usefixtures("every_batch")
def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    train = small_batch(100)
    with recording(Journal(tmp_path)):
        wanted = trained("mmoe", train)
    for tensor in train.tensors:
        tensor.zero_()
    with recording(Journal(tmp_path)):
        found = trained("mmoe", train)
    same(found, wanted)
    assert found[1].seconds == wanted[1].seconds


@pytest.mark.parametrize("name", ["lightgbm", "catboost"])
def test_boosted_trees_are_not_boosted_again(name: str, tmp_path: Path) -> None:
    kind = MODELS.find(name)
    if not kind.available():  # type: ignore[attr-defined]
        pytest.skip(f"{name} is not installed")

    def boosted(train: Batch) -> tuple[nn.Module, FitResult]:
        model = kind(small_layout(), NETWORK, torch.Generator())
        return model, fit(model, train, small_batch(60, seed=2), TASKS, SETTINGS, 5)

    train, rows = small_batch(200), small_batch(50, seed=3)
    with recording(Journal(tmp_path)):
        wanted = boosted(train)
    train.labels.fill_(1.0)
    with recording(Journal(tmp_path)):
        found = boosted(train)
    assert found[1] == wanted[1]
    assert torch.equal(predict_logits(found[0], rows), predict_logits(wanted[0], rows))


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_search_goes_on_from_any_step_to_the_bit(name: str, tmp_path: Path) -> None:
    problem = small_problem()

    def found() -> SearchResult:
        return search(STRATEGIES.find(name), problem, 1)

    wanted, stops, last = found(), 0, None
    for states in (1, 3, 2, 1000):
        with recording(Stopping(tmp_path, states, written=states != 3)):
            try:
                last = found()
            except Stopped:
                stops += 1
    assert stops and last is not None
    assert last.architecture == wanted.architecture and last.history == wanted.history
    if wanted.trained is not None and last.trained is not None:
        same((last.trained.model, last.trained.result), (wanted.trained.model, wanted.trained.result))


def test_a_damaged_state_leaves_the_one_before(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    step = journal.step("one")
    for number in range(4):
        step.save({"number": number}, {"x": torch.full((3,), float(number))})
    newest, before = journal.files(0)
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(bytes(content))
    again = Journal(tmp_path)
    state = again.step("one").state
    assert state is not None and state.values == {"number": 2} and float(state.tensors["x"][0]) == 2
    assert any(newest.name in note for note in again.notes)
    before.write_bytes(b"")
    assert Journal(tmp_path).step("one").state is None


def test_what_another_computation_has_recorded_is_forgotten_from_there_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for name in ("one", "two", "three"):
        journal.step(name).save({}, {}, final=True)
    assert journal.finished == 3
    again = Journal(tmp_path)
    assert again.step("one").state is not None
    assert again.step("other").state is None
    assert again.step("three").state is None
    assert again.finished == 1
