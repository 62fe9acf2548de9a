"""What every public dataset must obey; a new one needs its raw files in tests/data/catalog/raw.py."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from automtl.errors import TableError
from automtl.experiment import check_schema
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.catalog import DATASETS
from automtl.tables.catalog.prepare import prepare
from automtl.tables.infer import infer_task
from automtl.tables.schema import Schema, TaskKind
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


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_file_is_named_with_where_to_get_it(name: str, tmp_path: Path) -> None:
    for file in DATASETS.find(name).forms[0].files:
        RAW[name][0](tmp_path, random.Random(1))
        (tmp_path / file.name).unlink()
        with pytest.raises(TableError) as error:
            prepare(DATASETS.find(name), tmp_path, tmp_path / "table.parquet")
        assert file.name in str(error.value)
        assert DATASETS.find(name).source in str(error.value)
        assert not list(tmp_path.glob("*table*"))


@pytest.mark.parametrize("name", DATASETS)
def test_a_damaged_line_is_named_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    for file in DATASETS.find(name).forms[0].files:
        RAW[name][0](tmp_path, random.Random(1))
        path = tmp_path / file.name
        lines = path.read_text().split("\n")
        for broken in (lines[20][: lines[20].rindex(file.separator)] if len(lines) > 21 else "x", "x"):
            place = min(20, len(lines) - 2)
            path.write_text("\n".join([*lines[:place], broken, *lines[place + 1 :]]))
            with pytest.raises(TableError, match=f"'{path}', line {place + 1}: .*expected"):
                prepare(DATASETS.find(name), tmp_path, tmp_path / "table.parquet")
            assert not list(tmp_path.glob("*table*"))


@pytest.mark.parametrize("dataset", DATASETS.members().values(), ids=DATASETS)
def test_the_description_is_complete(dataset) -> None:  # type: ignore[no-untyped-def]
    for text in (dataset.title, dataset.source, dataset.licence, dataset.recipe):
        assert text.strip()
    assert set(dataset.expected) == set(dataset.variants)
    assert all(counts["rows"] > 0 for counts in dataset.expected.values())
    shown = "\n".join(dataset.describe())
    assert all(file.name in shown for form in dataset.forms for file in form.files)
    assert all(f"{counts['rows']:,}" in shown for counts in dataset.expected.values())


def test_strict_refuses_a_count_that_differs(tmp_path: Path) -> None:
    RAW["movielens-100k"][0](tmp_path, random.Random(1))
    with pytest.raises(TableError, match="rows: expected 100,000, found 200"):
        prepare(DATASETS.find("movielens-100k"), tmp_path, tmp_path / "table.parquet", strict=True)
    assert not list(tmp_path.glob("*table*"))
