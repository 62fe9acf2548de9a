"""A fit that is killed, suspended or meets another one's states."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from automtl.config import Settings, make_settings
from automtl.errors import FileError
from automtl.experiment.fit import Run, fit_table
from automtl.experiment.unfinished import unfinished_folder
from automtl.system.deadline import Deadline, Suspended
from automtl.system.journal import Journal, State
from automtl.system.progress import Event, Notice, Progress
from automtl.tables.columns import ColumnRoles
from tests.faults import kills

SETTINGS: dict[str, Any] = {
    "report": False,
    "search": {"trainings": 2}, "training": {"epochs": 2, "batch_size": 128}, "trees": {"rounds": 10},
    "network": {"embedding_size": 4, "width": 8, "towers": [8]}, "budget": {"save_every": 0},
    "space": {"experts": 2, "layers": 1}, "selection": {"boosted_trees": "one", "bags": 1, "steps": 2},
}  # fmt: skip
ROLES = ColumnRoles(drop=("like", "cart"))


class Killed(BaseException):
    """Stands for the end of the process."""


def settings(**changes: Any) -> Settings:
    return make_settings(SETTINGS | changes)


def fitted(log: pl.DataFrame, out: Path, given: Settings | None = None, **named: Any) -> Run:
    return fit_table(log, ["click", "buy"], roles=ROLES, settings=given or settings(), seed=1, out=out, **named)


def weights(out: Path) -> dict[str, bytes]:
    names = ("weights.safetensors", "encoder.safetensors", "architecture.json", "encoder.json")
    return {name: (out / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def whole(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(str(fitted(log, tmp_path_factory.mktemp("whole") / "run").folder))


def test_a_fit_that_ends_at_any_state_goes_on_to_the_same_bits(
    log: pl.DataFrame, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = Journal.write, [0]

    def dying(journal: Journal, number: int, identity: str, state: State) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        write(journal, number, identity, state)

    monkeypatch.setattr(Journal, "write", dying)
    monkeypatch.setattr("automtl.system.journal.SHARE", 1e9)
    told, ends = list[Event](), 0
    for states in (1, 3, 9, 17, 25, 13, 30, 100_000):
        left[0] = states
        try:
            fitted(log, tmp_path / "run", callback=told.append)
        except Killed:
            ends += 1
            assert unfinished_folder(tmp_path / "run").is_dir() and not (tmp_path / "run").exists()
        else:
            break
    assert ends >= 4
    assert weights(tmp_path / "run") == weights(whole)
    assert not unfinished_folder(tmp_path / "run").exists()
    assert any(isinstance(one, Notice) and "going on with the fit" in str(one) for one in told)


def test_a_fit_that_is_asked_to_end_saves_its_state_and_goes_on(log: pl.DataFrame, whole: Path, tmp_path: Path) -> None:
    deadline = Deadline()

    def suspend(event: Event) -> None:
        if isinstance(event, Progress):
            deadline.suspend()

    with pytest.raises(Suspended):
        fitted(log, tmp_path / "run", callback=suspend, deadline=deadline)
    assert list(unfinished_folder(tmp_path / "run").glob("*.safetensors"))
    fitted(log, tmp_path / "run")
    assert weights(tmp_path / "run") == weights(whole)


def test_states_of_another_fit_are_named_and_kept(log: pl.DataFrame, tmp_path: Path) -> None:
    deadline = Deadline()
    deadline.suspend()
    with pytest.raises(Suspended):
        fitted(log, tmp_path / "run", deadline=deadline)
    other = settings(training={"epochs": 1, "batch_size": 128})
    with pytest.raises(FileError, match=r"another settings: training.epochs: 2, now 1.*--overwrite"):
        fitted(log, tmp_path / "run", other)
    assert unfinished_folder(tmp_path / "run").is_dir()
    with pytest.raises(FileError, match="another table"):
        fitted(log.head(1400), tmp_path / "run")
    fitted(log, tmp_path / "run", other, overwrite=True)
    assert not unfinished_folder(tmp_path / "run").exists()


def test_what_is_no_unfinished_fit_is_not_touched(log: pl.DataFrame, tmp_path: Path) -> None:
    folder = unfinished_folder(tmp_path / "run")
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="holds something else"):
        fitted(log, tmp_path / "run")
    assert (folder / "mine.txt").read_text() == "mine"


def test_a_fit_that_is_killed_as_it_begins_to_record_begins_anew(log: pl.DataFrame, tmp_path: Path) -> None:
    folder = unfinished_folder(tmp_path / "run")
    folder.mkdir()
    (folder / ".manifest.json.5bce98f7-4194999-1f2ee482.part").write_bytes(b'{"for')
    fitted(log, tmp_path / "run")
    assert (tmp_path / "run").is_dir() and not folder.exists()


@pytest.mark.parametrize("earlier", [False, True])
def test_a_fit_that_is_killed_when_all_is_done_is_done(
    earlier: bool, log: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, named = (
        make_settings({"model": "mmoe", "report": False, "presets": [], "training": {"epochs": 1}}),
        {"overwrite": earlier},
    )
    if earlier:
        fit_table(log, ["click"], roles=ROLES, settings=quick, seed=2, out=tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr("automtl.experiment.unfinished.remove_at_once", lambda folder: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            fitted(log, tmp_path / "run", quick, **named)
    there, told = weights(tmp_path / "run"), list[Event]()
    assert unfinished_folder(tmp_path / "run").is_dir()
    if earlier:  # killed as it removed what it has replaced
        (tmp_path / ".run.replaced").mkdir()
    again = fitted(log, tmp_path / "run", quick, callback=told.append, **named)
    assert weights(tmp_path / "run") == there and again.metrics["seed"] == 1
    assert [str(one) for one in told] == [str(Notice("this fit was stopped when all was done"))]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    with pytest.raises(FileError, match="exists and is not empty"):
        fitted(log, tmp_path / "run", quick)


def test_two_processes_do_not_work_on_one_run(log: pl.DataFrame, tmp_path: Path) -> None:
    def meanwhile(event: Event) -> None:
        if isinstance(event, Progress):
            with pytest.raises(FileError, match="another process works in"):
                fitted(log, tmp_path / "run")
            raise Killed

    with pytest.raises(Killed):
        fitted(log, tmp_path / "run", callback=meanwhile)


def test_processes_that_are_killed_and_terminated_leave_a_fit_that_goes_on(tmp_path: Path) -> None:
    kills.prepare(tmp_path, rows=1000)
    assert kills.fit_killed(tmp_path, "cut", 0.0) == -signal.SIGKILL
    assert kills.fit_killed(tmp_path, "cut", 0.0, signal.SIGTERM) == 75
    manifest = json.loads((unfinished_folder(tmp_path / "cut") / "manifest.json").read_bytes())
    assert manifest["identity"]["seed"] == 3 and manifest["identity"]["threads"] == torch.get_num_threads()
