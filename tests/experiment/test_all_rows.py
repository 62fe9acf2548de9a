"""The last training, on training and validation rows together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

from automtl.config import Settings, make_settings
from automtl.ensemble.ensemble import Ensemble
from automtl.experiment.all_rows import ALL_ROWS, IN_TRAINING
from automtl.experiment.fit import Run, fit_table
from automtl.predictor import Predictor
from automtl.report.text import all_rows_line
from automtl.system.deadline import Deadline
from automtl.system.progress import Event
from automtl.tables.columns import ColumnRoles
from tests.experiment.test_fit import with_split

QUICK = {
    "model": "mmoe", "ensemble": True, "presets": [], "trees": {"rounds": 20},
    "training": {"epochs": 3, "batch_size": 128, "learning_rate": 0.01},
    "network": {"embedding_size": 8, "width": 16, "towers": [8]},
}  # fmt: skip
SETTINGS = make_settings(QUICK)
TASKS = ["click", "buy"]
ROLES = ColumnRoles(drop=("like", "cart"), split="part")


def fitted(table: pl.DataFrame, settings: Settings = SETTINGS, **more: object) -> Run:
    return fit_table(table, TASKS, roles=ROLES, settings=settings, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def table(log: pl.DataFrame) -> pl.DataFrame:
    return with_split(log)


@pytest.fixture(scope="module")
def on_all_rows(table: pl.DataFrame) -> Run:
    return fitted(table)


@pytest.fixture(scope="module")
def on_training_rows(table: pl.DataFrame) -> Run:
    return fitted(table, replace(SETTINGS, train_on_all_rows=False))


def test_choices_and_validation_metrics_are_those_of_a_fit_without_it(on_all_rows: Run, on_training_rows: Run) -> None:
    assert on_all_rows.predictor.spec == on_training_rows.predictor.spec
    for name in ("validation", "ensemble", "parameters"):
        if name != "parameters":  # trees of more rows may have other leaves
            assert on_all_rows.metrics[name] == on_training_rows.metrics[name]
    before, after = (run.predictor.network for run in (on_training_rows, on_all_rows))
    assert isinstance(before, Ensemble) and isinstance(after, Ensemble)
    assert torch.equal(before.weights, after.weights)
    assert on_training_rows.history.get("all_rows") is None
    counts = on_all_rows.metrics["rows"]
    assert on_all_rows.history["all_rows"]["rows"] == counts["train"] + counts["validation"]
    assert all(on_all_rows.history["all_rows"]["models"].values())


def test_the_leaderboard_and_the_waterfall_show_what_it_gave(on_all_rows: Run, on_training_rows: Run) -> None:
    final, ensemble, *_ = on_all_rows.history["leaderboard"]
    assert (final["name"], ensemble["name"]) == (ALL_ROWS, "ensemble")
    last, before = on_all_rows.metrics["waterfall"]["steps"][:-3:-1]
    assert (last["name"], before["name"]) == (ALL_ROWS, "ensemble")
    for task in TASKS:
        after = on_all_rows.metrics["test"]["tasks"][task]["auc"]
        assert final["test"][task] == last["test"][task] == after
        earlier = on_training_rows.metrics["test"]["tasks"][task]["auc"]
        assert ensemble["test"][task] == before["test"][task] == earlier != after
        assert final["validation"][task] == {"undefined": IN_TRAINING}
    line = all_rows_line(on_all_rows.history["all_rows"])
    assert line is not None and "1,200 training and validation rows" in line


def test_labels_of_validation_rows_teach_the_final_model_and_those_of_test_rows_do_not(table: pl.DataFrame) -> None:
    """The choice is fixed here: one network, without patience, so that only the last training can see the labels."""
    alone = make_settings(QUICK | {"ensemble": False, "training": QUICK["training"] | {"epochs": 1}})  # type: ignore[operator]

    def scores(part: str) -> pl.DataFrame:
        flipped = pl.when(pl.col("part") == part).then(1 - pl.col("click")).otherwise(pl.col("click"))
        return fitted(table.with_columns(click=flipped), alone).predictor.predict(table)

    plain = scores("no part")
    assert scores("test").equals(plain) and not scores("val").equals(plain)


def test_a_fit_that_is_stopped_keeps_what_was_chosen(table: pl.DataFrame, tmp_path: Path) -> None:
    deadline = Deadline()

    def stop(event: Event) -> None:
        if getattr(event, "stage", "").endswith("on all rows"):
            deadline.stop()

    run = fitted(table, deadline=deadline, callback=stop, out=tmp_path / "run")
    assert not all(run.history["all_rows"]["models"].values()) and run.metrics["ended_early"] is True
    assert Predictor.load(tmp_path / "run").predict(table).equals(run.predictor.predict(table))
