"""Fixtures of the tests of scoring: small models, and a table of more rows than a piece."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from automtl.config import make_settings
from automtl.experiment import ColumnRoles, fit_table
from automtl.predictor import Predictor
from automtl.tables.synthetic import synthetic_log

QUICK = {
    "model": "mmoe", "report": False, "presets": [], "training": {"epochs": 1}, "trees": {"rounds": 20},
    "encoder": {"prune_histories": False},
}  # fmt: skip
ROWS = 7_000  # of more than three of the smallest pieces


@pytest.fixture(scope="session")
def large() -> pl.DataFrame:
    """A table with lists, of which the longest come late, and ids that are new."""
    table = synthetic_log(ROWS, users=80, items=60, seed=5).with_row_index("row")
    longer = pl.concat_list("tags", pl.lit(["t1", "t2", "t3", "t4", "new"]))
    return table.with_columns(pl.when(pl.col("row") > 5_000).then(longer).otherwise("tags").alias("tags"))


@pytest.fixture(scope="session")
def model(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring") / "model"
    roles = ColumnRoles(drop=("like", "cart"))
    fit_table(log, ["click", "buy"], roles=roles, settings=make_settings(QUICK), out=folder)
    return folder


@pytest.fixture(scope="session")
def timed_model(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring") / "timed"
    timed, roles = log.with_row_index("row"), ColumnRoles(drop=("like", "cart", "buy"), time="row")
    fit_table(timed, ["click"], roles=roles, settings=make_settings(QUICK), out=folder)
    return folder


@pytest.fixture(scope="session")
def scores(model: Path, large: pl.DataFrame) -> pl.DataFrame:
    """The scores of the whole table at once."""
    return Predictor.load(model).predict(large)
