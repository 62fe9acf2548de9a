"""One network in place of an ensemble."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest

from automtl.config import make_settings
from automtl.errors import FileError, SettingsError
from automtl.experiment.distill import DISTILLED, ENSEMBLE, SINGLE, SOFT_WEIGHTS, distill, kept_shares
from automtl.experiment.fit import Run, fit_table
from automtl.predictor import Predictor
from automtl.system.manifest import MODEL, checksums
from automtl.tables.columns import ColumnRoles
from automtl.tables.schema import Task, TaskKind
from automtl.tables.table import table_digest

QUICK = {
    "model": "mmoe", "ensemble": True, "presets": [], "trees": {"rounds": 20},
    "training": {"epochs": 3, "batch_size": 128, "learning_rate": 0.01},
    "network": {"embedding_size": 8, "width": 16, "towers": [8]},
}  # fmt: skip
TASKS = ["click", "buy"]


@pytest.fixture(scope="module")
def timed(log: pl.DataFrame) -> pl.DataFrame:
    return log.with_row_index("moment")


@pytest.fixture(scope="module")
def folder(timed: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble with histories of which some were left out."""
    out = tmp_path_factory.mktemp("runs") / "ensemble"
    roles = ColumnRoles(drop=("like", "cart"), time="moment")
    run = fit_table(timed, TASKS, roles=roles, settings=make_settings(QUICK), out=out)
    assert len(run.predictor.spec.members) > 1
    return out


@pytest.fixture(scope="module")
def distilled(folder: Path, timed: pl.DataFrame) -> Run:
    return distill(folder, timed, out=folder.parent / "distilled")


def test_the_result_is_an_ordinary_run_of_one_network(distilled: Run, folder: Path, timed: pl.DataFrame) -> None:
    assert distilled.folder is not None
    loaded = Predictor.load(distilled.folder)
    assert [member.name for member in loaded.spec.members] == [DISTILLED]
    assert loaded.predict(timed.tail(5), history=timed).shape == (5, 2)
    assert (distilled.folder / "report.html").is_file()
    settings = json.loads((distilled.folder / "settings.json").read_text())
    assert settings["ensemble"] is False and settings["seed"] == 0
    with pytest.raises(SettingsError, match="one model already"):
        distill(distilled.folder, timed)


def test_its_leaderboard_holds_it_against_the_ensemble_and_the_network_as_it_was(distilled: Run) -> None:
    ensemble, single, student = distilled.history["leaderboard"]
    assert [row["name"] for row in (ensemble, single, student)] == [ENSEMBLE, SINGLE, DISTILLED]
    assert student["parameters"] < ensemble["parameters"]
    for part in ("validation", "test"):
        for task in TASKS:
            assert student[part][task] == distilled.metrics[part]["tasks"][task]["auc"]
    assert student["latency_ms"] > 0 and student["seconds"] > 0


def test_the_rows_are_those_of_the_fit(distilled: Run, folder: Path) -> None:
    """The ensemble has the metrics that its own fit measured, on validation and on test rows."""
    measured = json.loads((folder / "metrics.json").read_text())
    ensemble, *_ = distilled.history["leaderboard"]
    for part in ("validation", "test"):
        for task in TASKS:
            assert ensemble[part][task] == pytest.approx(measured[part]["tasks"][task]["auc"], abs=1e-6)
    assert distilled.metrics["rows"] == measured["rows"]


def test_the_weight_of_the_scores_is_chosen_on_validation_rows(distilled: Run) -> None:
    told = distilled.history["distillation"]
    assert {trial["soft_weight"] for trial in told["trials"]} == set(SOFT_WEIGHTS)
    assert told["chosen"] == min(range(len(told["trials"])), key=lambda place: told["trials"][place]["score"])


def test_the_steps_go_on_from_those_of_the_fit(distilled: Run, folder: Path) -> None:
    before = json.loads((folder / "metrics.json").read_text())["waterfall"]["steps"]
    steps = distilled.metrics["waterfall"]["steps"]
    assert steps[:-1] == before and steps[-1]["name"] == "distillation"
    for task in TASKS:
        expected = steps[-1]["test"][task] - steps[-2]["test"][task]
        assert steps[-1]["gain"][task]["mean"] == pytest.approx(expected, abs=1e-6)


def test_another_table_is_refused(folder: Path, timed: pl.DataFrame) -> None:
    with pytest.raises(SettingsError, match="not the table"):
        distill(folder, timed.head(700))


def test_the_table_is_found_where_it_was(timed: pl.DataFrame, tmp_path: Path) -> None:
    timed.write_parquet(tmp_path / "log.parquet")
    settings, out = make_settings(QUICK | {"training": {"epochs": 1}}), tmp_path / "run"
    roles = ColumnRoles(drop=("like", "cart", "moment"))
    fit_table(tmp_path / "log.parquet", TASKS, roles=roles, settings=settings, out=out)
    assert distill(out).settings["table"] == {
        "path": str(tmp_path / "log.parquet"), "rows": timed.height, "digest": table_digest(timed),
        "columns": timed.width, "dropped": ["like", "cart", "moment"],
    }  # fmt: skip
    (tmp_path / "log.parquet").unlink()
    with pytest.raises(FileError, match="is gone"):
        distill(out)


def test_a_table_that_was_no_file_must_be_given(folder: Path) -> None:
    with pytest.raises(SettingsError, match="does not record its table"):
        distill(folder)


def test_the_share_that_is_kept_is_of_the_ensembles_gain() -> None:
    tasks = (Task("click"), Task("amount", kind=TaskKind.REGRESSION), Task("buy"))
    values = [{"click": 0.8, "amount": 1.0, "buy": 0.5}, {"click": 0.7, "amount": 2.0, "buy": 0.6}]
    student = {"click": 0.75, "amount": 1.25, "buy": 0.7}
    rows = [{"validation": one, "test": one} for one in (*values, student)]
    kept = kept_shares(rows, tasks)
    assert kept["validation"] == pytest.approx({"click": 0.5, "amount": 0.75})  # the ensemble is no better on buy
    assert kept_shares([rows[0], rows[2]], tasks) == {"validation": {}, "test": {}}


def test_a_run_whose_settings_name_code_is_not_distilled_unless_it_is_allowed(
    folder: Path, timed: pl.DataFrame, tmp_path: Path
) -> None:
    bent = tmp_path / "bent"
    shutil.copytree(folder, bent)
    content = (bent / "settings.json").read_bytes()
    changed = content.replace(b'"balancing": "equal"', b'"balancing": "antigravity:fly"')
    assert changed != content
    (bent / "settings.json").write_bytes(changed)
    MODEL.write(bent, {}, checksums(bent, MODEL.read(bent)["files"]))
    with pytest.raises(SettingsError, match="--allow antigravity"):
        distill(bent, timed)
    assert "antigravity" not in sys.modules
