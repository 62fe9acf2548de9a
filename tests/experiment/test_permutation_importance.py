"""Importance by shuffling columns."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from automtl.cli import app
from automtl.ensemble.spec import ModelSpec
from automtl.experiment.permutation_importance import Importance, column_importance
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.report.importance import importance_rows
from automtl.tables.schema import Schema
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings

ROWS = 2000


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    city, device = rng.integers(0, 6, ROWS), rng.integers(0, 3, ROWS)
    return pl.DataFrame(
        {
            "city": city,
            "device": device,
            "noise": rng.normal(size=ROWS),
            "click": (rng.random(ROWS) < 0.1 + 0.8 * (city < 3)).astype(int),
            "spent": device * 2.0 + rng.normal(size=ROWS) * 0.1,
        }
    )


@pytest.fixture(scope="module")
def folder(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    fields = [{"name": "city", "kind": "categorical"}, {"name": "device", "kind": "categorical"}]
    fields += [{"name": "noise", "kind": "numeric"}, {"name": "both", "kind": "cross", "of": ["city", "device"]}]
    tasks = [{"name": "click"}, {"name": "spent", "kind": "regression"}]
    schema = Schema.from_dict({"fields": fields, "tasks": tasks, "target_encoding": [["city"]]})
    encoder, batch = Encoder.fit(table, schema, EncoderSettings(), 0)
    spec = ModelSpec.of("shared-bottom", NetworkSettings(8, 16, (8,), dropout=0.0))
    model = spec.build(encoder, seed=0)
    fit(model, batch, batch, schema.tasks, TrainingSettings(epochs=8, batch_size=100, learning_rate=5e-3), 0)
    path = tmp_path_factory.mktemp("importance") / "run"
    Predictor(schema, encoder, spec, model).save(path)
    return path


def test_the_columns_that_decide_a_task_are_missed_and_noise_is_not(folder: Path, table: pl.DataFrame) -> None:
    found = {(one.column, one.task): one for one in column_importance(folder, table)}
    assert {column for column, _ in found} == {"city", "device", "noise"}
    click, spent = found["city", "click"], found["device", "spent"]
    assert click.metric == "auc" and click.drop is not None and click.drop > 0.3 and click.base is not None
    assert click.base - click.drop == pytest.approx(0.5, abs=0.05)  # with its rates and the cross, nothing is left
    assert spent.metric == "rmse" and spent.drop is not None and spent.drop > 0.5
    for column, task in (("noise", "click"), ("noise", "spent"), ("device", "click")):
        other = found[column, task]
        assert other.drop is not None and other.spread is not None and abs(other.drop) < 0.1


def test_the_seed_decides_rows_and_shuffles(folder: Path, table: pl.DataFrame) -> None:
    first, again, other = (column_importance(folder, table, repeats=2, rows=500, seed=seed) for seed in (1, 1, 2))
    assert first == again and first != other
    drops = [one.drop for one in first if one.drop is not None]
    assert drops == sorted(drops, reverse=True)


def test_a_task_of_one_class_has_no_importance(folder: Path, table: pl.DataFrame) -> None:
    found = column_importance(folder, table.filter(pl.col("click") == 1), repeats=1)
    header, rows = importance_rows([asdict(one) for one in found])
    assert {one.drop for one in found if one.task == "click"} == {None}
    assert sorted(header) == ["click", "column", "spent"]
    assert all(row[header.index("click")] == "-" and "±" in row[header.index("spent")] for row in rows)


def test_the_command_prints_and_writes_it(folder: Path, table: pl.DataFrame, tmp_path: Path) -> None:
    table.write_parquet(tmp_path / "rows.parquet")
    arguments = [str(folder), str(tmp_path / "rows.parquet"), "--repeats", "2", "--out", str(tmp_path / "out.json")]
    result = CliRunner().invoke(app, ["importance", *arguments])
    assert result.exit_code == 0, result.output
    assert "city" in result.stdout and "±" in result.stdout
    written = [Importance(**one) for one in json.loads((tmp_path / "out.json").read_text())]
    assert tuple(written) == column_importance(folder, table, repeats=2)
