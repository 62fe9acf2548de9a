"""Models take later events in, completely or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from automtl.config import make_settings
from automtl.errors import AutomtlError, EncodingError, FileError, SchemaError, SettingsError
from automtl.experiment import ColumnRoles, fit_table
from automtl.experiment.update import update_model
from automtl.predictor import Predictor
from automtl.system.manifest import checksum
from tests.experiment.test_history_selection import QUICK, moody_log, moody_schema
from tests.test_cli import call

UNPRUNED = QUICK | {"encoder": {"prune_histories": False}}


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return moody_log(1500)


@pytest.fixture(scope="module")
def model(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    fit_table(log[:1000], schema=moody_schema(), settings=make_settings(UNPRUNED), out=folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: checksum(path) for path in folder.iterdir()}


def test_an_updated_model_scores_as_a_replay_and_keeps_all_other_files(
    log: pl.DataFrame, model: Path, tmp_path: Path
) -> None:
    before, out = contents(model), tmp_path / "later"
    assert update_model(model, log[1000:1200], out=out).events == 200
    for start in range(1200, 1400, 67):
        update_model(out, log[start : min(start + 67, 1400)])
    scores = Predictor.load(out).predict(log[1400:])
    assert scores.equals(Predictor.load(model).predict(log[1400:], history=log))
    assert contents(model) == before
    changed = {name for name, found in contents(out).items() if found != before[name]}
    assert changed == {"encoder.json", "encoder.safetensors", "manifest.json"} - ({"encoder.json"} - changed)


def test_a_second_update_by_the_same_events_changes_nothing(log: pl.DataFrame, model: Path, tmp_path: Path) -> None:
    update_model(model, log[1000:1200], out=tmp_path / "once")
    before = contents(tmp_path / "once")
    taken = update_model(tmp_path / "once", log[900:1200])
    assert (taken.events, taken.late, taken.repeated) == (0, 299, 1)
    assert contents(tmp_path / "once") == before


def test_the_command_says_what_was_taken_in_and_left_out(
    log: pl.DataFrame, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log[990:1100].write_parquet(tmp_path / "today.parquet")
    assert call("update", str(model), str(tmp_path / "today.parquet"), "--out", str(tmp_path / "new")) == 0
    said = capsys.readouterr()
    assert "100 events taken in" in said.out
    assert "9 events are older than the newest one known (late)" in said.err and "1 events were known" in said.err


def test_mistakes_are_named_and_nothing_changes(log: pl.DataFrame, model: Path, tmp_path: Path) -> None:
    before = contents(model)
    wrong: list[tuple[pl.DataFrame, type[AutomtlError], str]] = [
        (log[1000:].drop("click"), SchemaError, "task 'click'"),
        (log[1000:].drop("moment"), SchemaError, "'moment'"),
        (log[1000:].drop("shop"), EncodingError, "'shop'"),
    ]
    for table, kind, named in wrong:
        with pytest.raises(kind, match=named):
            update_model(model, table)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="not empty; choose another --out, or none to change"):
        update_model(model, log[1000:], out=tmp_path / "full")
    assert contents(model) == before


def test_models_that_learn_nothing_of_later_rows_are_refused(log: pl.DataFrame, tmp_path: Path) -> None:
    settings = make_settings(UNPRUNED)
    for name, roles in (("none", ColumnRoles(history=False)), ("frozen", ColumnRoles(history="frozen"))):
        fit_table(log[:1000], schema=moody_schema(), roles=roles, settings=settings, out=tmp_path / name)
        with pytest.raises(SettingsError, match="without histories|end with its training rows"):
            update_model(tmp_path / name, log[1000:])
    later = Predictor.load(tmp_path / "frozen")
    assert np.isfinite(later.predict(log[1000:])["click"].to_numpy()).all()
