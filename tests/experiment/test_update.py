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
from automtl.tables.schema import Field, FieldKind, Schema, Task, TaskKind
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


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without histories, with target encodings."""
    folder = tmp_path_factory.mktemp("models") / "encoded"
    fields = tuple(Field(name, FieldKind.CATEGORICAL) for name in ("user", "item", "shop"))
    tasks = (Task("click"), Task("stay", kind=TaskKind.REGRESSION))
    schema = Schema(fields, tasks, target_encoding=(("shop",), ("user", "item")))
    fit_table(visits(0, 800), schema=schema, settings=make_settings(QUICK | {"split": {}}), out=folder)
    assert Predictor.load(folder).encoder.target_encodings
    return folder


def visits(start: int, stop: int) -> pl.DataFrame:
    """Rows of a log of visits; shops open as time goes on."""
    log = moody_log(1500).with_columns(stay=pl.col("click") * 3.5 + pl.col("item") / 7)
    return log.with_columns(shop=pl.lit("s") + (pl.col("moment") // 9000).cast(pl.String))[start:stop]


def rates(folder: Path, key: str = "shop") -> dict[str, tuple[list[float], list[float], float]]:
    """The label sums, label counts and rows of each value of a key."""
    encoding = Predictor.load(folder).encoder.target_encodings[(key,)]
    parts = (encoding.sums[2:], encoding.counts[2:], encoding.rows[2:])
    return {
        str(value): (sums.tolist(), counts.tolist(), float(rows))
        for value, sums, counts, rows in zip(encoding.vocabulary.values, *parts, strict=True)
    }


def test_target_encodings_know_later_rows_as_a_fit_on_them_would(encoded: Path, tmp_path: Path) -> None:
    before, later = contents(encoded), visits(800, 1300)
    taken = update_model(encoded, later, out=tmp_path / "later")
    assert (taken.events, taken.late, taken.repeated) == (500, 0, 0) and ("shop",) in taken.keys
    assert contents(encoded) == before
    known, found = rates(encoded), rates(tmp_path / "later")
    for shop, rows in later.group_by("shop"):
        labels = rows.select("click", pl.col("stay").cast(pl.Float64)).sum().row(0)
        sums, counts, count = known.get(str(shop[0]), ([0.0, 0.0], [0.0, 0.0], 0.0))
        assert found[str(shop[0])][0] == pytest.approx([a + b for a, b in zip(sums, labels, strict=True)], rel=1e-9)
        assert found[str(shop[0])][1] == [one + rows.height for one in counts]
        assert found[str(shop[0])][2] == count + rows.height
    assert set(found) > set(known)  # shops that are new
    encodings = [Predictor.load(one).encoder.target_encodings[("shop",)] for one in (encoded, tmp_path / "later")]
    total = encodings[1].sums.sum(0) / encodings[1].counts.sum(0)
    assert encodings[1].prior == pytest.approx(total) and not np.allclose(encodings[0].prior, total)
    changed = {name for name, one in contents(tmp_path / "later").items() if one != before[name]}
    assert changed <= {"encoder.json", "encoder.safetensors", "manifest.json"}
    scores = [Predictor.load(one).predict(visits(750, 850)) for one in (encoded, tmp_path / "later")]
    assert not scores[0].equals(scores[1]) and np.isfinite(scores[1].to_numpy()).all()


def test_two_updates_of_target_encodings_are_one(encoded: Path, tmp_path: Path) -> None:
    update_model(encoded, visits(800, 1300), out=tmp_path / "once")
    update_model(encoded, visits(800, 1000), out=tmp_path / "twice")
    update_model(tmp_path / "twice", visits(1000, 1300))
    once, twice = rates(tmp_path / "once"), rates(tmp_path / "twice")
    assert list(once) == list(twice)
    for shop, (sums, counts, rows) in once.items():
        assert twice[shop][0] == pytest.approx(sums, rel=1e-12) and twice[shop][1:] == (counts, rows)


def test_the_command_warns_of_rows_that_are_given_twice_and_names_mistakes(
    encoded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    visits(800, 900).write_parquet(tmp_path / "today.parquet")
    assert call("update", encoded, tmp_path / "today.parquet", "--out", tmp_path / "new") == 0
    said = capsys.readouterr()
    assert "100 events taken in" in said.out and "do not give the same rows again" in said.err
    before = contents(encoded)
    for column, kind in (("click", SchemaError), ("shop", SchemaError)):
        with pytest.raises(kind, match=f"'{column}'"):
            update_model(encoded, visits(800, 900).drop(column))
    assert contents(encoded) == before
