"""Scores taken apart into contributions of columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from math import factorial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from automtl.cli import app
from automtl.config import make_settings
from automtl.ensemble.spec import ModelSpec
from automtl.errors import SettingsError
from automtl.experiment import fit_table
from automtl.experiment.explanation import explain
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.tables.columns import ColumnRoles
from automtl.tables.schema import Schema

ROWS = 300
COLUMNS = ("city", "tags", "height")


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    city, height = rng.integers(0, 6, ROWS), rng.normal(size=ROWS)
    tags = ["|".join(map(str, rng.choice(4, rng.integers(0, 4), replace=False))) or None for _ in range(ROWS)]
    labels = {"click": (rng.random(ROWS) < 0.1 + 0.1 * city).astype(int), "spent": 10 + 3.0 * city + height}
    return pl.DataFrame({"city": city, "tags": tags, "height": height} | labels)


def steep(table: pl.DataFrame, fields: list[dict[str, object]]) -> Predictor:
    """A network whose weights are drawn, and large, so that columns matter and work together."""
    tasks = [{"name": "click"}, {"name": "spent", "kind": "regression"}]
    schema = Schema.from_dict({"fields": fields, "tasks": tasks, "target_encoding": [["city"]]})
    encoder, _ = Encoder.fit(table, schema, EncoderSettings(), 0)
    spec = ModelSpec.of("shared-bottom", NetworkSettings(8, 16, (8,), dropout=0.0))
    model = spec.build(encoder, seed=0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return Predictor(schema, encoder, spec, model)


FIELDS: list[dict[str, object]] = [
    {"name": "city", "kind": "categorical"}, {"name": "tags", "kind": "multi", "delimiter": "|"},
    {"name": "height", "kind": "numeric"},
]  # fmt: skip


@pytest.fixture(scope="module")
def predictor(table: pl.DataFrame) -> Predictor:
    return steep(table, FIELDS)


def outputs(predictor: Predictor, table: pl.DataFrame) -> np.ndarray:
    scores = predictor.predict(table)
    return np.stack([np.log(scores["click"] / (1 - scores["click"])), scores["spent"]], axis=1)


def shapley(predictor: Predictor, row: pl.DataFrame, others: pl.DataFrame) -> dict[str, np.ndarray]:
    """The exact values, from the definition: all sets of columns, all other rows, tables of raw values."""
    every = row.select(pl.all().repeat_by(others.height).explode())

    def worth(columns: Sequence[str]) -> np.ndarray:
        mean: np.ndarray = outputs(predictor, others.with_columns(every[name] for name in columns)).mean(axis=0)
        return mean

    found = {}
    for name in COLUMNS:
        rest, total = [other for other in COLUMNS if other != name], np.zeros(2)
        for size in range(len(rest) + 1):
            share = factorial(size) * factorial(len(rest) - size) / factorial(len(COLUMNS))
            total += share * sum(worth([*some, name]) - worth(some) for some in combinations(rest, size))
        found[name] = total
    return found


def test_contributions_are_the_shapley_values_by_enumeration(predictor: Predictor, table: pl.DataFrame) -> None:
    others = table.slice(100, 20)
    found = explain(predictor, table, rows=[3], background=others, samples=400)
    exact, base = shapley(predictor, table[2:3], others), outputs(predictor, others).mean(axis=0)
    assert [one.task for one in found] == ["click", "spent"]
    for place, one in enumerate(found):
        assert one.base == pytest.approx(base[place], abs=1e-4)
        for part in one.contributions:
            assert part.contribution == pytest.approx(exact[part.column][place], abs=max(4 * part.error, 1e-4))
            assert part.error < 0.15
    assert max(abs(part.contribution) for part in found[0].contributions) > 0.3  # there is something to find


def test_contributions_and_base_sum_to_the_score(predictor: Predictor, table: pl.DataFrame) -> None:
    found, expected = explain(predictor, table, rows=[7, 2], samples=5), outputs(predictor, table[[6, 1]])
    assert [(one.row, one.task) for one in found] == [(7, "click"), (7, "spent"), (2, "click"), (2, "spent")]
    for one, output in zip(found, expected.ravel(), strict=True):
        assert one.output == pytest.approx(output, abs=1e-4)
        assert one.base + sum(part.contribution for part in one.contributions) == pytest.approx(output, abs=1e-4)
        assert {part.column: part.value for part in one.contributions}["city"] == str(table["city"][one.row - 1])
    assert found == explain(predictor, table, rows=[7, 2], samples=5)
    assert found != explain(predictor, table, rows=[7, 2], samples=5, seed=1)


def test_what_is_made_of_two_columns_stands_alone(table: pl.DataFrame) -> None:
    made = [*FIELDS, {"name": "both", "kind": "cross", "of": ["city", "tags"]}]
    (one, _) = explain(steep(table, made), table, samples=4)
    first = table.row(0, named=True)
    assert {part.column for part in one.contributions} == {*COLUMNS, "city × tags"}
    assert {part.column: part.value for part in one.contributions}[
        "city × tags"
    ] == f"{first['city']} × {first['tags']}"


@pytest.fixture(scope="module")
def timed(log: pl.DataFrame) -> pl.DataFrame:
    return log.head(600).with_row_index("seen_at")


@pytest.fixture(scope="module")
def run(timed: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boosted trees that know histories."""
    small = {
        "model": "lightgbm", "report": False, "presets": [], "ensemble": False, "trees": {"rounds": 10},
        "encoder": {"prune_histories": False},
    }  # fmt: skip
    path = tmp_path_factory.mktemp("explain") / "run"
    fit_table(timed, ["click"], roles=ColumnRoles(time="seen_at"), settings=make_settings(small), out=path)
    return path


def test_trees_and_histories_are_explained_in_the_same_way(run: Path, timed: pl.DataFrame) -> None:
    (one,) = explain(run, timed, rows=[500], history=timed, samples=4)
    score = Predictor.load(run).predict(timed[499:500], history=timed)["click"][0]
    assert one.score == pytest.approx(score, abs=1e-5)
    assert one.base + sum(part.contribution for part in one.contributions) == pytest.approx(one.output, abs=1e-4)
    assert any(part.column.startswith("histories of ") and part.value is None for part in one.contributions)


def test_the_command_prints_and_writes_it(run: Path, timed: pl.DataFrame, tmp_path: Path) -> None:
    timed.write_parquet(tmp_path / "rows.parquet")
    rows, page = str(tmp_path / "rows.parquet"), tmp_path / "page.html"
    arguments = ["explain", str(run), rows, "--history", rows, "--row", "9", "--samples", "4"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(page)])
    assert result.exit_code == 0, result.output
    assert "row 9" in result.stdout and "mean of other rows" in result.stdout and "±" in result.stdout
    assert "<svg" in page.read_text() and "row 9" in page.read_text()
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    found = explain(run, timed, rows=[9], history=timed, samples=4)
    assert told == json.loads(json.dumps([one.to_dict() for one in found]))


@pytest.mark.parametrize(
    ("rows", "kept", "words"), [([0], 5, "row 0 is not"), ([6], 5, "row 6 is not"), ([1], 1, "no other row")]
)
def test_what_cannot_be_explained_is_refused(
    predictor: Predictor, table: pl.DataFrame, rows: list[int], kept: int, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        explain(predictor, table.head(kept), rows=rows)
