"""Laws of datasets. A raw folder holds a few rows in the publisher's form, which the tests must supply."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import polars as pl

from automtl.errors import TableError
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.catalog.base import Dataset
from automtl.tables.catalog.prepare import prepare
from automtl.tables.schema import Schema


def its_description_is_complete(dataset: Dataset, raw: Path) -> None:
    """Title, source, licence and recipe are given, and every file of every form is shown."""
    for text in (dataset.title, dataset.source, dataset.licence, dataset.recipe):
        assert text.strip()
    assert set(dataset.expected) <= set(dataset.variants)
    shown = "\n".join(dataset.describe())
    assert all(file.name in shown for form in dataset.forms for file in form.files)


def each_variant_has_the_columns_and_labels_that_its_schema_says(dataset: Dataset, raw: Path) -> None:
    """Labels have both values, no outcome is an input, and every row can be encoded."""
    for variant in dataset.variants:
        with tempfile.TemporaryDirectory() as folder:
            found = prepare(dataset, raw, Path(folder) / "table.parquet", variant)
            table, schema = pl.read_parquet(found.table), Schema.read(found.schema)
            assert {path.name for path in Path(folder).iterdir()} == {"table.parquet", "table.schema.yaml"}
        assert found.rows == table.height > 0
        inputs = {field.name for field in schema.fields}
        assert inputs <= set(table.columns)
        assert not inputs & {*dataset.outcomes, *schema.task_names, schema.time, schema.split}
        for task in schema.tasks:
            assert table[task.name].n_unique() > 1, f"task '{task.name}' has one label"
        _, rows = Encoder.fit(table, schema, EncoderSettings(target_encoding=False), 0)
        assert len(rows) == table.height


def a_missing_file_is_named_with_where_to_get_it(dataset: Dataset, raw: Path) -> None:
    """The message names the file and its source; nothing is written."""
    for file in dataset.forms[0].files:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "raw"
            shutil.copytree(raw, copy)
            if (copy / file.name).is_file():
                (copy / file.name).unlink()
                _expect(dataset, copy, (file.name, dataset.source))


def a_damaged_line_is_named_and_nothing_is_written(dataset: Dataset, raw: Path) -> None:
    """The message names a damaged line by file and number."""
    for file in dataset.forms[0].files:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "raw"
            shutil.copytree(raw, copy)
            if (path := copy / file.name).is_file():
                lines = path.read_text(encoding="utf-8").split("\n")
                place = len(lines) // 2
                path.write_text("\n".join([*lines[:place], "x", *lines[place + 1 :]]), encoding="utf-8")
                _expect(dataset, copy, (str(path), f"line {place + 1}"))


def _expect(dataset: Dataset, raw: Path, words: tuple[str, ...]) -> None:
    """Raise AssertionError unless preparing these files raises TableError with these words and writes nothing."""
    out = raw.parent / "out"
    out.mkdir()
    message = ""
    try:
        prepare(dataset, raw, out / "table.parquet")
    except TableError as error:
        message = str(error)
    assert all(word in message for word in words), f"expected {words} in the message, found '{message}'"
    assert not list(out.iterdir()), "something was written"


DATASET_LAWS = (
    its_description_is_complete,
    each_variant_has_the_columns_and_labels_that_its_schema_says,
    a_missing_file_is_named_with_where_to_get_it,
    a_damaged_line_is_named_and_nothing_is_written,
)
