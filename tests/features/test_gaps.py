"""Columns that were known at fit and are unknown or missing now are told; honest rows are not."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.config import make_settings
from automtl.errors import EncodingError
from automtl.estimator import AutoMTL
from automtl.experiment import ColumnRoles, fit_table
from automtl.experiment.permutation_importance import column_importance
from automtl.features.coverage import Counts, Coverage
from automtl.features.gaps import Gap, find_gaps, warn_of_gaps
from automtl.predictor import Predictor
from automtl.tables.schema import Field, FieldKind, Schema, Task
from tests.test_cli import call

ROWS = 1000
QUICK = {"model": "shared-bottom", "report": False, "presets": [], "ensemble": False, "training": {"epochs": 1}}


def counts(missing: float, unknown: float, rows: int = ROWS) -> Counts:
    """Shares of the rows, and of the values."""
    values = rows - round(missing * rows)
    return Counts(rows, rows - values, values, round(unknown * values))


def found(now: tuple[float, float], *at_fit: tuple[float, float], rows: int = ROWS, **options: Any) -> tuple[Gap, ...]:
    schema = Schema((Field("x", FieldKind.CATEGORICAL, **options),), (Task("click"),))
    parts = {str(part): Coverage({"x": counts(*shares)}) for part, shares in enumerate(at_fit)}
    return find_gaps(schema, Coverage({"x": counts(*now, rows)}), parts)


def test_a_gap_is_more_than_half_and_clearly_more_than_in_any_part_at_fit() -> None:
    assert found((0, 1), (0, 0)) == (Gap("x", "unknown", 1.0, 0.0),)
    assert found((1, 0), (0, 0)) == (Gap("x", "missing", 1.0, 0.0),)
    assert found((0, 0.501), (0, 0.1)) and not found((0, 0.5), (0, 0.1))
    assert found((0, 0.66), (0, 0.4)) and not found((0, 0.65), (0, 0.4))
    assert not found((0, 1), (0, 0), (0, 0.75)) and found((0, 1), (0, 0), (0, 0.74))
    assert not found((1, 0), (0.9, 0.0)) and not found((0, 1))


def test_few_rows_tell_nothing_and_optional_columns_may_be_absent() -> None:
    assert found((0, 1), (0, 0), rows=100) and not found((0, 1), (0, 0), rows=99)
    assert not found((1, 0), (0, 0), optional=True) and found((0, 1), (0, 0), optional=True)


def test_ten_gaps_are_told_and_the_others_are_counted() -> None:
    with pytest.warns(UserWarning, match="at fit") as told:
        warn_of_gaps([Gap(f"c{place}", "missing", 0.8125, 0.001) for place in range(13)])
    lines = [str(one.message) for one in told]
    assert len(lines) == 11
    assert lines[0] == "column 'c0': 81.2 % of the values are missing, at fit 0.1 %"
    assert lines[10] == "3 more columns that were known at fit are unknown or missing"


def log() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame({
        "user_id": rng.integers(0, 30, ROWS), "tier": rng.integers(0, 4, ROWS), "age": rng.normal(size=ROWS),
        "click": rng.integers(0, 2, ROWS),
    })  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gaps") / "run"
    fit_table(log(), ["click"], settings=make_settings(QUICK), out=path)
    return path


def test_what_was_seen_at_fit_is_scored_without_a_word(folder: Path) -> None:
    predictor = Predictor.load(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert predictor.predict(log()).height == ROWS
        assert "gaps" not in predictor.evaluate(log())
        new_user = log().head(99).with_columns(user_id=pl.lit(999))
        assert predictor.predict(new_user).height == 99


def test_unknown_and_missing_columns_are_told_with_both_rates(folder: Path) -> None:
    predictor = Predictor.load(folder)
    odd = log().with_columns(tier=pl.lit("gold"), age=pl.lit(None, pl.Float64))
    with pytest.warns(UserWarning, match="at fit 0 %") as told:
        metrics = predictor.evaluate(odd)
    assert [str(one.message) for one in told] == [
        "column 'tier': 100 % of the values are unknown, at fit 0 %",
        "column 'age': 100 % of the values are missing, at fit 0 %",
    ]
    assert metrics["gaps"] == [
        {"column": "tier", "kind": "unknown", "now": 1.0, "at_fit": 0.0},
        {"column": "age", "kind": "missing", "now": 1.0, "at_fit": 0.0},
    ]
    assert predictor.coverage(odd.drop("click")).of("tier") == Counts(ROWS, 0, ROWS, ROWS)


def renamed(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(user_id="u" + pl.col("user_id").cast(pl.String))


def test_ids_none_of_which_is_known_are_refused_unless_that_is_allowed(folder: Path) -> None:
    predictor, odd = Predictor.load(folder), renamed(log())
    message = r"'user_id': 100 % of the values are unknown, at fit 0 %; now there is 'u\d+', at fit there was \d+: "
    for score in (predictor.predict, predictor.evaluate, AutoMTL(["click"], settings=QUICK).fit(log()).predict):
        with pytest.raises(EncodingError, match=message):
            score(odd)
        with pytest.warns(UserWarning, match="'user_id': 100 %"):
            assert len(score(odd, allow_unknown=True))
    with pytest.warns(UserWarning, match="'user_id': 100 %"):
        assert column_importance(folder, odd, repeats=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: renamed(t).with_columns(user_id=pl.lit("one new user")),
        lambda t: renamed(t).with_columns(user_id=pl.when(pl.int_range(pl.len()) < 99).then("user_id")),
        lambda t: renamed(t).filter(pl.col("user_id").is_in([f"u{user}" for user in range(9)])),
        lambda t: renamed(t).with_columns(user_id=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("3"))
                                          .otherwise("user_id")),
    ],
)  # fmt: skip
def test_few_new_ids_and_ids_some_of_which_are_known_are_only_told(folder: Path, change: Any) -> None:
    with pytest.warns(UserWarning, match="'user_id'"):
        assert Predictor.load(folder).predict(change(log())).height


def test_a_model_that_was_tested_on_new_users_scores_new_users() -> None:
    rows = log().sort("user_id").with_columns(
        part=pl.when(pl.col("user_id") < 20).then(pl.lit("train"))
        .when(pl.col("user_id") < 25).then(pl.lit("val")).otherwise(pl.lit("test"))
    )  # fmt: skip
    run = fit_table(rows, ["click"], roles=ColumnRoles(split="part"), settings=make_settings(QUICK))
    assert run.predictor.at_fit["test"].of("user_id").unknown_share == 1
    assert run.predictor.predict(renamed(log())).height == ROWS


def test_the_command_line_tells_refuses_and_has_a_switch(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed(log()).with_columns(tier=pl.lit("gold")).write_parquet(tmp_path / "odd.parquet")
    scores = tmp_path / "scores.parquet"
    assert call("predict", folder, tmp_path / "odd.parquet", "--out", scores) == 2 and not scores.exists()
    refused = capsys.readouterr().err
    assert refused.startswith("error: column 'user_id': 100 % of the values are unknown, at fit 0 %; now")
    assert "--allow-unknown" in refused and len(refused.splitlines()) == 1
    command = [sys.executable, "-m", "automtl", "predict", folder, tmp_path / "odd.parquet", "--out", scores]
    told = subprocess.run([*command, "--allow-unknown"], capture_output=True, text=True, check=False)
    assert told.returncode == 0 and pl.read_parquet(scores).height == ROWS
    assert [line for line in told.stderr.splitlines() if "scoring: " not in line] == [
        f"warning: column '{name}': 100 % of the values are unknown, at fit 0 %" for name in ("user_id", "tier")
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert call("evaluate", folder, tmp_path / "odd.parquet", "--allow-unknown") == 0
    evaluated = capsys.readouterr().out
    assert "columns that were known at fit" in evaluated and "100.00%" in evaluated
