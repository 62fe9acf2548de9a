"""A table that a model was fitted on has the same scores from every file that a program writes of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from automtl.config import make_settings
from automtl.experiment import ColumnRoles, fit_table
from automtl.predictor import Predictor

ROWS = 600
QUICK = {
    "model": "shared-bottom",
    "presets": [],
    "training": {"epochs": 1, "batch_size": 128},
    "encoder": {"min_count": 1},
}


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    """A column of every kind, most of them with missing values."""
    rng = np.random.default_rng(0)

    def holes(values: list[Any]) -> list[Any]:
        return [None if rng.random() < 0.1 else value for value in values]

    start, tags = datetime(2024, 1, 1), ["t1", "t2", "été", "x-y"]
    click = (rng.random(ROWS) < 0.5).astype(int)
    return pl.DataFrame(
        {
            "user_id": (rng.integers(0, 40, ROWS) + 2**60).tolist(),
            "item_id": holes(rng.integers(0, 30, ROWS).tolist()),
            "zip": holes([f"{code:05d}" for code in rng.integers(0, 60, ROWS)]),
            "title": [['a 5" nail', "red, green", "plain", "it's"][place] for place in rng.integers(0, 4, ROWS)],
            "vip": holes((rng.random(ROWS) < 0.5).tolist()),
            "price": pl.Series(holes((rng.integers(0, 10_000, ROWS) / 100).tolist())),
            "level": pl.Series(holes(rng.integers(0, 5, ROWS).tolist()), dtype=pl.Float64),
            "tags": [rng.choice(tags, rng.integers(1, 4), replace=False).tolist() for _ in range(ROWS)],
            "shown_at": pl.Series(holes([start + timedelta(minutes=int(m)) for m in rng.integers(0, 90_000, ROWS)])),
            "seen_at": pl.Series([start + timedelta(minutes=int(m)) for m in rng.integers(0, 90_000, ROWS)])
            .dt.replace_time_zone("UTC")
            .dt.convert_time_zone("Asia/Shanghai"),
            "click": click,
            "like": pl.Series(holes((click * (rng.random(ROWS) < 0.6)).tolist()), dtype=pl.Int64),
        }
    )


@pytest.fixture(scope="module")
def predictor(log: pl.DataFrame) -> Predictor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit_table(
            log, ["click", "like"], roles=ColumnRoles(group="user_id"), settings=make_settings(QUICK)
        ).predictor


def by_duckdb(log: pl.DataFrame, path: Path) -> None:
    duckdb.register("given", log.to_arrow(compat_level=pl.CompatLevel.oldest()))
    duckdb.execute(f"COPY (FROM given) TO '{path}'")


def pandas_objects(log: pl.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(log.to_dict(as_series=False))


def old_arrow(log: pl.DataFrame) -> pa.Table:
    return log.to_arrow(compat_level=pl.CompatLevel.oldest())


def without_lists(log: pl.DataFrame) -> pl.DataFrame:
    return log.with_columns(pl.format("[{}]", pl.col("tags").list.join(", ")))


WRITERS: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    "pandas.csv": lambda log, path: log.to_pandas().to_csv(path, index=False),
    "pandas objects.csv": lambda log, path: pandas_objects(log).to_csv(path, index=False),
    "pandas.parquet": lambda log, path: log.to_pandas().to_parquet(path),
    "pandas nullable.parquet": lambda log, path: log.to_pandas().convert_dtypes().to_parquet(path),
    "polars.csv": lambda log, path: without_lists(log).write_csv(path),
    "polars.parquet": lambda log, path: log.write_parquet(path),
    "duckdb.csv": by_duckdb,
    "duckdb.parquet": by_duckdb,
    "pyarrow.csv": lambda log, path: pa.csv.write_csv(old_arrow(without_lists(log)), path),
    "pyarrow.parquet": lambda log, path: pa.parquet.write_table(old_arrow(log), path),
    "pyarrow dictionaries.parquet": lambda log, path: pa.parquet.write_table(
        pa.Table.from_pandas(log.to_pandas()), path
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_scored_as_the_frame(name: str, log: pl.DataFrame, predictor: Predictor, tmp_path: Path) -> None:
    WRITERS[name](log, tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is unknown
        assert predictor.predict(tmp_path / name).equals(predictor.predict(log))
    assert predictor.evaluate(tmp_path / name) == predictor.evaluate(log)


@pytest.mark.parametrize("frame", ["pandas", "pandas objects", "pyarrow", "rows"])
def test_a_frame_of_another_library_is_scored_as_the_frame(frame: str, log: pl.DataFrame, predictor: Predictor) -> None:
    made = {
        "pandas": log.to_pandas(),
        "pandas objects": pandas_objects(log),
        "pyarrow": log.to_arrow(),
        "rows": log.to_dicts(),
    }
    assert predictor.predict(made[frame]).equals(predictor.predict(log))


def test_columns_in_another_order_and_more_of_them_change_nothing(log: pl.DataFrame, predictor: Predictor) -> None:
    other = log.select(reversed(log.columns)).with_columns(extra=pl.lit("x"))
    assert predictor.predict(other).equals(predictor.predict(log))
