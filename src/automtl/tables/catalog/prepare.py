"""Preparation of a table and its schema file from a publisher's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from automtl.errors import SettingsError, TableError, suggestion
from automtl.system.files import write_whole, written_whole
from automtl.tables.catalog.base import Dataset
from automtl.tables.schema import Schema


@dataclass(frozen=True)
class Outcome:
    """The files that were written. `rates`: of label 1, by task; `differences`: a sentence for each unmet count."""

    table: Path
    schema: Path
    rows: int
    rates: dict[str, float]
    differences: tuple[str, ...]


def prepare(dataset: Dataset, folder: Path, out: Path, variant: str | None = None, *, strict: bool = False) -> Outcome:
    """Write the table (Parquet) and, beside it, its schema; both whole or not at all.

    Rows are streamed: memory grows with the ids that a recipe counts or joins by, not with the rows. Raises
    TableError for missing or malformed files and, if `strict`, for a published count that is not met.
    """
    variant = variant or next(iter(dataset.variants))
    if variant not in dataset.variants:
        known = ", ".join(dataset.variants)
        near = suggestion(variant, dataset.variants)
        raise SettingsError(f"{dataset.title} has no variant '{variant}'{near}; known: {known}")
    if out.suffix != ".parquet":
        raise TableError(f"'{out}': the table is written as Parquet; give a name that ends in .parquet")
    schema_path = out.with_suffix(".schema.yaml")
    with written_whole(out) as part:
        form = dataset.form(folder)
        sources = {file.name: file.scan(path) for file in form.files if (path := file.find(folder)) is not None}
        rows, schema = form.build(sources, variant)
        rows.sink_parquet(part)
        found = pl.scan_parquet(part)
        differences = tuple(_differences(found, dataset.expected.get(variant, {})))
        if strict and differences:
            raise TableError(f"{dataset.title}: {differences[0]}; nothing was written")
        height, rates = _labels(found, schema)
        if height == 0:
            raise TableError(
                f"{dataset.title}: the recipe leaves no rows of the files in '{folder}'; are they complete?"
            )
        write_whole(schema_path, schema.text())
    return Outcome(out, schema_path, height, rates, differences)


def _differences(table: pl.LazyFrame, expected: Mapping[str, int]) -> list[str]:
    counts = [pl.len().alias(name) if name == "rows" else pl.col(name).n_unique() for name in expected]
    if not counts:
        return []
    found = table.select(counts).collect(engine="streaming").row(0, named=True)
    return [
        f"{'rows' if name == 'rows' else f'distinct {name}'}: expected {number:,}, found {found[name]:,}"
        for name, number in expected.items()
        if found[name] != number
    ]


def _labels(table: pl.LazyFrame, schema: Schema) -> tuple[int, dict[str, float]]:
    rates = [pl.col(task).mean() for task in schema.task_names]
    row = table.select(pl.len().alias("rows"), *rates).collect(engine="streaming").row(0, named=True)
    return int(row.pop("rows")), row
