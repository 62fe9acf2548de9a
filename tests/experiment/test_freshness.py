"""Metrics where labels arrive sooner or later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.config import make_settings
from automtl.errors import SettingsError
from automtl.experiment import ColumnRoles, fit_table
from automtl.experiment.freshness import freshness
from automtl.experiment.report import read_run
from automtl.predictor import Predictor
from automtl.report.folder import run_report
from automtl.report.text import delay_line, freshness_rows
from automtl.system.progress import Notice
from automtl.tables.split import split_table
from tests.test_cli import call

QUICK: dict[str, Any] = {
    "model": "shared-bottom", "report": False, "presets": [], "ensemble": False, "split": {"method": "time"},
    "training": {"epochs": 2, "batch_size": 256}, "network": {"embedding_size": 4, "width": 8, "towers": [8]},
    "encoder": {"prune_histories": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    """A log in which a user's mood lasts some rows, so that the last labels say the next one."""
    rng = np.random.default_rng(0)
    rows, users = 3000, rng.integers(0, 20, 3000)
    mood = np.sin(np.arange(rows) / 120 + users * 2.0) > 0
    click = rng.random(rows) < np.where(mood, 0.9, 0.1)
    return pl.DataFrame(
        {
            "user_id": users, "item_id": rng.integers(0, 60, rows), "ts": 1_650_000_000 + np.arange(rows) * 30,
            "click": click.astype(int), "long": (click & (rng.random(rows) < 0.5)).astype(int),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "model"
    roles = ColumnRoles(time="ts", label_delay="5m")
    fit_table(log, ["click", "long"], roles=roles, settings=make_settings(QUICK), seed=3, out=out)
    return out


def test_the_delay_of_the_fit_gives_its_metrics(log: pl.DataFrame, folder: Path) -> None:
    (declared, never) = freshness(folder, log, delays=["5m"])
    assert (declared["delay"], never["delay"]) == ("5m", "never")
    assert declared["tasks"] == json.loads((folder / "metrics.json").read_text())["test"]["tasks"]


def test_never_is_a_log_that_ends_with_the_training_rows(log: pl.DataFrame, folder: Path) -> None:
    predictor = Predictor.load(folder)
    split = split_table(log, predictor.schema, make_settings(QUICK).split, 3)
    never = freshness(folder, log, delays=[])[-1]
    assert never["tasks"] == predictor.evaluate(split.test, history=split.train)["tasks"]


def test_moods_are_known_while_labels_are_fresh(log: pl.DataFrame, folder: Path) -> None:
    curve = freshness(folder, log)
    assert [one["delay"] for one in curve] == ["0s", "1m", "1h", "1d", "never"]
    auc = [one["tasks"]["click"]["auc"] for one in curve]
    assert auc[0] > auc[2] + 0.05


def test_a_fit_shows_the_curve_and_tells_what_an_hour_would_cost(log: pl.DataFrame, folder: Path) -> None:
    values = json.loads((folder / "metrics.json").read_text())
    assert values["freshness"] == freshness(folder, log)
    page = run_report(read_run(folder))
    assert all(cell in page for row in freshness_rows(values["freshness"])[1] for cell in row)
    events: list[Any] = []
    run = fit_table(log, ["click"], settings=make_settings(QUICK), callback=events.append)
    told = [event.text for event in events if isinstance(event, Notice)]
    assert len(told) == 2 and "nothing was said" in told[0] and told[1] == delay_line(run.metrics["freshness"])


def test_models_may_be_fitted_for_each_delay(log: pl.DataFrame, folder: Path) -> None:
    as_it_is, fitted = (freshness(folder, log, delays=[300], fitted=fitted) for fitted in (False, True))
    assert fitted[0] == as_it_is[0] and fitted[1]["delay"] == "never"


def test_a_model_without_histories_is_refused(log: pl.DataFrame, tmp_path: Path) -> None:
    fit_table(
        log,
        ["click"],
        roles=ColumnRoles(history=False),
        settings=make_settings(QUICK | {"split": {}}),
        out=tmp_path / "m",
    )
    with pytest.raises(SettingsError, match="no inputs of histories, so it does not matter when labels arrive"):
        freshness(tmp_path / "m", log)


def test_the_command_shows_and_writes_the_curve(
    log: pl.DataFrame, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_parquet(tmp_path / "log.parquet")
    assert call("freshness", folder, tmp_path / "log.parquet", "--delay", "1h", "--out", tmp_path / "f.json") == 0
    shown = capsys.readouterr().out
    curve = json.loads((tmp_path / "f.json").read_text())
    assert curve == freshness(folder, log, delays=["1h"])
    header, rows = freshness_rows(curve)
    assert header == ["labels after", "click", "long"]
    assert all(cell in shown for row in rows for cell in row)
