"""`describe` shows an example of each column in canonical form, and what stood in its way."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from automtl.tables.describe import ColumnSummary, summarize
from automtl.tables.infer import infer_schema
from automtl.tables.schema import Field, FieldKind, Schema, Task
from tests.test_cli import call

IDS, NUMBER, TIME = FieldKind.CATEGORICAL, FieldKind.NUMERIC, FieldKind.TIME


def of(values: Any, kind: FieldKind, **options: Any) -> ColumnSummary:
    table = pl.DataFrame({"x": values})
    return summarize(table, Schema((Field("x", kind, **options),), (Task("click"),)))[0]


EAST = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("found", "example", "counts", "notes"),
    [
        (of(["007", "7", None], IDS), "'007'", (2, 1), ["text, since '007' is not what the number 7 prints"]),
        (of(["2", "2.0", "a"], IDS), "'2'", (2, 0), ["'2.0' in row 2 is read as '2'"]),
        (of(["true", "1"], IDS), "1", (1, 0), ["'true' in row 1 is read as 1"]),
        (of([None, "DE", "NA"], IDS), "'DE'", (1, 2), ["'NA' in row 3 is read as missing"]),
        (of([2**53 + 1, 5], IDS), "9007199254740993", (2, 0), ["ids, since a float does not hold 9007199254740993"]),
        (of([7.0, float("nan")], IDS), "7", (1, 1), []),
        (of([*map(str, range(60)), "12,5x"], IDS), "'0'", (61, 0), ["ids, since '12,5x' in row 61 is no number"]),
        (of(["Ulm ", "ulm"], IDS, text=("strip", "lower")), "'ulm'", (1, 0), ["'Ulm ' in row 1 is read as 'ulm'"]),
        (of(["5", "1.234,5"], NUMBER, decimal=",", thousands="."), "5", (2, 0),
         ["decimal ',', thousands '.': '1.234,5' is 1234.5"]),
        (of([1650812741000.0, 0.5], NUMBER), "1650812741000", (2, 0), []),
        (of([datetime(2024, 1, 31, 12)], TIME), "2024-01-31 12:00:00", (1, 0), ["local times, as they are written"]),
        (of(["2024-01-31T12:00:00+08:00"], TIME, zone="+08:00"), "2024-01-31 12:00:00", (1, 0),
         ["times of zone +08:00"]),
        (of([1_700_000_000], TIME, unit="s"), "2023-11-14 22:13:20", (1, 0), ["instants, in UTC"]),
        (of([["a", "b"], [], None], FieldKind.MULTI), "'a', 'b'", (2, 2), []),
        (of(["a|b", "", "c|d|e"], FieldKind.MULTI, delimiter="|"), "'a', 'b'", (5, 1), []),
        (of(["a" * 50], IDS), f"'{'a' * 18}…", (1, 0), []),
    ],
)  # fmt: skip
def test_a_column_is_shown_as_it_is_read(
    found: ColumnSummary, example: str, counts: tuple[int, int], notes: list[str]
) -> None:
    assert (found.example, (found.distinct, found.missing), list(found.notes)) == (example, counts, notes)


def test_what_cannot_be_encoded_is_told_by_its_error() -> None:
    assert "may be rounded" in of([2.0**53], IDS).notes[0]
    assert "holds 'x'" in of(["1.5", "x"], NUMBER).notes[0]
    assert of(["1.5", "x"], NUMBER).example == "'1.5'"


def test_every_column_has_its_role_and_a_type_that_is_short() -> None:
    table = pl.DataFrame({
        "user": ["a", "b"] * 5, "at": [datetime(2024, 1, day, tzinfo=EAST) for day in range(1, 11)], "same": [1] * 10,
        "w": [1.0] * 10, "click": [0, 1] * 5, "part": ["train", "test"] * 5,
    })  # fmt: skip
    schema = infer_schema(table, ["click"], group="user", weight="w", split="part")
    found = {one.name: one for one in summarize(table, schema)}
    assert {name: (one.type, one.role) for name, one in found.items()} == {
        "user": ("String", "categorical group"), "at": ("Datetime", "time"), "same": ("Int64", "-"),
        "w": ("Float64", "weight"), "click": ("Int64", "task (binary)"), "part": ("String", "split"),
    }  # fmt: skip
    assert found["same"].notes == ("left out: constant",)


def test_the_command_fits_in_a_hundred_columns_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{place:05d}" for place in range(100)]
    moments = [datetime(2024, 1, 1, tzinfo=EAST) + timedelta(hours=place) for place in range(100)]
    table = pl.DataFrame({"a_name_of_some_length": rows, "at": moments, "click": [0, 1] * 50})
    table.write_parquet(tmp_path / "t.parquet")
    assert call("describe", tmp_path / "t.parquet", "--task", "click", "--json", tmp_path / "c.json") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "column 'a_name_of_some_length': text, since '00000' is not what the number 0 prints" in shown
    assert "target encoding: a_name_of_some_length" in shown
    assert max(len(line) for line in shown if line.startswith(("│", "┃"))) <= 100
    written = json.loads((tmp_path / "c.json").read_text())
    assert len(written) == 3 and written[0]["example"] == "'00000'"


def test_a_column_of_numbers_without_one_shows_no_separators() -> None:
    assert not [note for note in of(["NA", None], NUMBER, decimal=",").notes if "decimal" in note]
