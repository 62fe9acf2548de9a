"""Several workers do what one process does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from automtl.errors import SettingsError, WorkerError
from automtl.models.registry import new_model
from automtl.nn import normalization
from automtl.search import search_run
from automtl.search.darts import DartsSettings
from automtl.search.procedure import Procedure
from automtl.system.workers import (
    Workers,
    _all_take_part,
    agreed,
    all_given,
    all_rows,
    first_does,
    is_worker,
    shared,
    speaks,
    together,
    workers,
)
from automtl.training import balancing, passes
from automtl.training.fit import Training
from automtl.training.settings import TrainingSettings
from tests.workers import (
    NETWORK,
    STOPPED,
    STRATEGY_NAMES,
    TRAINING,
    TRAININGS,
    by_workers,
    everything,
    gone_on,
    rows_of,
    stopped,
    trained,
)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [1, 2, 6, 7, 100])
def test_shares_are_all_rows_in_order(count: int, rows: int) -> None:
    shares = [list(range(rows))[Workers(place, count).share(rows)] for place in range(count)]
    if rows < count:
        assert shares == [list(range(rows))] * count
    else:
        assert [row for share in shares for row in share] == list(range(rows))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_process_alone_does_all_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    values = torch.rand(4, 2)
    with together() as own:
        assert own == workers() == Workers(0, 1) and own.first and not own.several
        assert all_rows(values, 4) is values and shared(values) is values
        assert all_given(values[:, 0], values)[1] is values
        assert agreed("a") == "a" and first_does(lambda: 3) == 3
    assert not is_worker() and speaks()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert is_worker() and not speaks()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def two(folder: Path) -> dict[str, Any]:
    """The results of a training by two workers, who have also gone on with a training that one worker began."""
    for name in STOPPED:
        stopped(name, folder / f"{name}-alone")
    return by_workers(2, folder / "found")


def test_two_workers_train_and_search_as_one(two: dict[str, Any]) -> None:
    one = everything()
    for name in TRAININGS:
        for key, values in one[name].items():
            torch.testing.assert_close(two[name][key], values, rtol=1e-5, atol=1e-5)
    for name in STRATEGY_NAMES:
        assert two[name]["architecture"] == one[name]["architecture"]
        assert two[name]["losses"] == pytest.approx(one[name]["losses"], rel=1e-4)
    torch.testing.assert_close(two["scores"], one["scores"], rtol=1e-5, atol=1e-5)
    assert two["first"] == "0" and two["raised"]
    assert (one["parts"], two["parts"]) == ([False, 120], [True, 60])  # rows of a table of 120


@pytest.mark.parametrize("name", STOPPED)
def test_two_workers_go_on_to_the_bit(name: str, two: dict[str, Any]) -> None:
    undisturbed, found = two["again"][name]
    for key, values in undisturbed.items():
        assert torch.equal(found[key], values), key


@pytest.mark.parametrize("name", STOPPED)
def test_another_number_of_workers_goes_on_up_to_rounding(name: str, two: dict[str, Any], folder: Path) -> None:
    undisturbed = trained(*STOPPED[name])
    by_one, by_two = gone_on(name, folder / name), two["going"][name]
    for key, values in undisturbed.items():
        for found in (by_one[key], by_two[key]):
            if name == "dropout":  # draws other numbers
                assert found.isfinite().all() and not torch.equal(found, values)
            else:
                torch.testing.assert_close(found, values, rtol=1e-5, atol=1e-5)


def test_what_workers_do_not_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (balancing, normalization, search_run):
        monkeypatch.setattr(module, "workers", lambda: Workers(0, 2))
    model = new_model("mmoe", rows_of()[0], NETWORK, 0)
    with pytest.raises(SettingsError, match="'pcgrad' takes several gradients of a step, which workers do not share"):
        balancing.find_balancing(TrainingSettings(balancing="pcgrad"), model, torch.full((2,), 0.5))
    with pytest.raises(SettingsError, match="'home', is trained by one worker; leave --workers out"):
        normalization.StackedBatchNorm(1, 2).train()(torch.rand(1, 3, 2))
    with pytest.raises(SettingsError, match="training.shard_embeddings moves tables by rows.*embedding_updates out"):
        TrainingSettings(shard_embeddings=True, embedding_updates="dense")
    settings = DartsSettings(second_order=True)
    with pytest.raises(SettingsError, match="search.second_order takes gradients that workers do not share"):
        search_run.SearchRun(None, settings, replace(Procedure.of(settings), second_order=True), 0)  # type: ignore[arg-type]


def test_a_worker_without_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    layout, rows = rows_of()
    training = Training(new_model("mmoe", layout, NETWORK, 0), rows, rows, layout.tasks, TRAINING, 0)

    def full(*given: object) -> None:
        raise MemoryError

    monkeypatch.setattr(passes.Passes, "_whole", full)
    monkeypatch.setattr(passes, "workers", lambda: Workers(0, 2))
    with pytest.raises(WorkerError, match="memory of a worker does not suffice"):
        training.advance()


def test_a_lost_worker_is_an_error() -> None:
    def lost() -> None:
        raise RuntimeError("Connection closed by peer")

    with pytest.raises(WorkerError, match="another worker has ended"):
        _all_take_part(lost)
