"""Quantities of any size are learned, measured, saved and exported exactly."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from automtl.config import make_settings
from automtl.experiment.fit import Run, fit_table
from automtl.predictor import Predictor
from automtl.tables.columns import ColumnRoles
from tests.conftest import TINY

SIZES = {"large": (1.7e12, 39_399.0), "small": (1e-9, 2e-10)}
SETTINGS = {
    "model": "mmoe", "ensemble": True, "report": False, "presets": [], "training": {"epochs": 3, "batch_size": 64},
    "trees": {"rounds": 15, "learning_rate": 0.2}, "network": TINY["network"], "selection": {"worth": 0},
}  # fmt: skip


def quantities(log: pl.DataFrame) -> pl.DataFrame:
    """Quantities that the price tells, but for noise of the same size."""
    truth = (log["price"] - log["price"].mean()) / log["price"].std()
    noise = np.random.default_rng(0).normal(size=log.height)
    scaled = {name: size + spread * (truth + noise) / 2**0.5 for name, (size, spread) in SIZES.items()}
    return log.select("user_id", "item_id", "device", "price", "click").with_columns(**scaled)


@pytest.fixture(scope="module")
def run(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("quantities") / "run"
    settings = make_settings(SETTINGS)
    return fit_table(quantities(log), ["click", *SIZES], roles=ColumnRoles(), settings=settings, out=out)


@pytest.mark.parametrize("task", SIZES)
def test_metrics_are_those_of_scikit_learn_and_better_than_the_mean(task: str, run: Run, log: pl.DataFrame) -> None:
    table = quantities(log)
    found, scores = run.predictor.evaluate(table)["tasks"][task], run.predictor.predict(table)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(table[task], scores[task]), rel=1e-9)
    assert found["mae"] == pytest.approx(mean_absolute_error(table[task], scores[task]), rel=1e-9)
    spread = SIZES[task][1]
    assert 0.3 * spread < found["rmse"] < 0.85 * spread
    for row in run.history["leaderboard"]:
        assert 0.3 * spread < row["test"][task] < 0.95 * spread, row["name"]


def test_both_kinds_of_models_are_saved_with_the_scale(run: Run, log: pl.DataFrame) -> None:
    assert {row["name"].split()[0] for row in run.history["leaderboard"]} >= {"mmoe", "boosted"}
    assert run.folder is not None
    loaded, table = Predictor.load(run.folder), quantities(log).drop(*SIZES, "click")
    assert loaded.schema.tasks == run.predictor.schema.tasks
    assert loaded.predict(table).equals(run.predictor.predict(table))


def test_the_loss_of_all_tasks_is_in_units_that_compare(run: Run) -> None:
    """Else a quantity of 1e12 would be all that counts."""
    assert 0.3 < run.metrics["test"]["mtl_loss"] < 1.0
