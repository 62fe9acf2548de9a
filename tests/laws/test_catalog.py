"""What every public dataset must obey; a new one needs its raw files in tests/data/catalog/raw.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from automtl.errors import TableError
from automtl.experiment import check_schema
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.catalog import DATASETS
from automtl.tables.catalog.base import Dataset
from automtl.tables.catalog.prepare import prepare
from automtl.tables.infer import infer_task
from automtl.tables.schema import Schema, TaskKind
from automtl.testing import DATASET_LAWS
from tests.tables.catalog.raw import RAW

CASES = [
    (name, place, variant)
    for name in DATASETS
    for place in range(len(RAW[name]))
    for variant in DATASETS.find(name).variants
]


@pytest.mark.parametrize(("name", "form", "variant"), CASES)
def test_the_table_has_the_columns_and_labels_that_its_schema_says(
    name: str, form: int, variant: str, tmp_path: Path
) -> None:
    dataset, raw = DATASETS.find(name), tmp_path / "raw"
    raw.mkdir()
    RAW[name][form](raw, random.Random(1))
    found = prepare(dataset, raw, tmp_path / "table.parquet", variant)
    table, schema = pl.read_parquet(found.table), Schema.read(found.schema)
    check_schema(table, schema)
    assert found.rows == table.height > 0
    for task in schema.tasks:
        assert infer_task(table, task.name).kind is task.kind is TaskKind.BINARY
        assert 0 < table[task.name].mean() < 1  # type: ignore[operator]
    inputs = {field.name for field in schema.fields}
    assert not inputs & {*dataset.outcomes, *schema.task_names, schema.time, schema.split}
    if form == 0:
        assert set(dataset.outcomes) <= set(table.columns)
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "table.parquet", "table.schema.yaml"}
    assert [difference for difference in found.differences if "rows: expected" in difference]
    encoder, rows = Encoder.fit(table, schema, EncoderSettings(target_encoding=False), 0)
    assert len(rows) == table.height
    assert len(encoder.layout.tasks) == len(schema.tasks)


FORMS = [(name, place) for name in DATASETS for place in range(len(RAW[name]))]


@pytest.mark.parametrize("law", DATASET_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_it_keeps_the_law(name: str, form: int, law: Callable[[Dataset, Path], None], tmp_path: Path) -> None:
    RAW[name][form](tmp_path, random.Random(1))
    law(DATASETS.find(name), tmp_path)


@pytest.mark.parametrize("dataset", DATASETS.members().values(), ids=DATASETS)
def test_published_counts_are_known_for_each_variant(dataset: Dataset) -> None:
    shown = "\n".join(dataset.describe())
    assert set(dataset.expected) == set(dataset.variants)
    assert all(counts["rows"] > 0 and f"{counts['rows']:,}" in shown for counts in dataset.expected.values())


def test_strict_refuses_a_count_that_differs(tmp_path: Path) -> None:
    RAW["movielens-100k"][0](tmp_path, random.Random(1))
    with pytest.raises(TableError, match="rows: expected 100,000, found 200"):
        prepare(DATASETS.find("movielens-100k"), tmp_path, tmp_path / "table.parquet", strict=True)
    assert not list(tmp_path.glob("*table*"))
