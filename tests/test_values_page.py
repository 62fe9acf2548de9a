"""Every row of the table on the page of values: a column is made as it says, and is read as it says."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from automtl.errors import AutomtlError
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.labels import label_columns
from automtl.tables.roles import TableRoles
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.tables.table import read_table
from automtl.tables.values.numbers import as_numbers
from automtl.tables.values.times import as_moments

PAGE = (Path(__file__).parents[1] / "docs" / "values.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if re.match(r"\| (?!kind)\w", line)
]
ITEM, ROUNDS = Field("item", FieldKind.CATEGORICAL), EncoderSettings(min_count=1)


def examples() -> Iterator[Any]:
    """Each form of each row: kind, options, what it is stored as, the value as written, and what it is read as."""
    for first, stored, written, read in ROWS:
        kind, _, options = first.partition(", ")
        options = options.strip("`")
        values = yaml.safe_load(options if options.startswith("{") or not options else f"{{{options}}}") or {}
        for form in stored.split(", "):
            for text in re.findall(r"`([^`]+)`", written):
                yield pytest.param(kind, values, form, text, read.strip("`"), id=f"{first} {form} {text}")


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def of_zone(zone: str) -> Callable[[str], pl.Series]:
    return lambda text: pl.Series([moment(text)]).dt.replace_time_zone(zone)


MAKE: dict[str, Callable[[str], pl.Series]] = {
    **{
        str(dtype): lambda text, dtype=dtype: pl.Series([int(text)], dtype=dtype)
        for dtype in (pl.Int8, pl.Int64, pl.UInt64, pl.Int128)
    },
    "Float32": lambda text: pl.Series([float(text)], dtype=pl.Float32),
    "Float64": lambda text: pl.Series([float(text)]),
    "Decimal": lambda text: pl.Series([Decimal(text)]),
    "Boolean": lambda text: pl.Series([text.lower() == "true"]),
    "text": lambda text: pl.Series([plain(text)]),
    "Categorical": lambda text: pl.Series([plain(text)], dtype=pl.Categorical),
    "Enum": lambda text: pl.Series([plain(text)], dtype=pl.Enum([plain(text)])),
    "Date": lambda text: pl.Series([dt.date.fromisoformat(text)]),
    "Datetime": lambda text: pl.Series([moment(text)]),
    "Datetime of UTC": of_zone("UTC"),
    "Datetime of Asia/Shanghai": of_zone("Asia/Shanghai"),
    "List": lambda text: pl.Series([json.loads(text)], dtype=pl.List(pl.String) if text == "[]" else None),
}


def plain(text: str) -> str:
    """Take off the quotes of a text whose blanks are shown."""
    return text[1:-1] if text.startswith('"') else text


def table_of(form: str, text: str, folder: Path) -> pl.DataFrame:
    """Make a table of one row."""
    if form == "CSV":
        quoted = '"' + plain(text).replace('"', '""') + '"'
        cell = quoted if set(text) & set(',"') else text
        (folder / "a.csv").write_text(f"x,item,y\n{cell},1,1\n", encoding="utf-8")
        return read_table(folder / "a.csv")
    return pl.DataFrame({"x": MAKE[form](text), "item": [1], "y": [1]})


def as_id(table: pl.DataFrame, options: dict[str, Any], read: str) -> str:
    """Tell whether the value has the id of what it should be read as, and no other."""
    field = Field("x", FieldKind.CATEGORICAL, **options)
    expected = json.loads(read) if read not in ("missing", "refused") else "z"
    known = pl.DataFrame({"x": [str(expected), "other"], "item": [1, 2], "y": [0, 1]})
    if isinstance(expected, int):
        known = known.with_columns(x=pl.Series([expected, -99]))
    encoder, batch = Encoder.fit(known, Schema((ITEM, field), (Task("y"),)), ROUNDS, 0)
    (found,) = encoder.encode(table).features.categorical[:, 1].tolist()
    return {0: "missing", int(batch.features.categorical[0, 1]): read}.get(found, f"another id, {found}")


def as_number(table: pl.DataFrame, options: dict[str, Any], read: str) -> str:
    (found,) = as_numbers(table["x"], Field("x", FieldKind.NUMERIC, **options))
    return "missing" if found is None else read if found == float(read) else str(found)


def as_label(table: pl.DataFrame, options: dict[str, Any], read: str) -> str:
    values, mask = label_columns(table, Schema((ITEM,), (Task("x"),)))
    return f"{values[0, 0]:g}" if mask[0, 0] else "missing"


def as_time(table: pl.DataFrame, options: dict[str, Any], read: str) -> str:
    (found,) = as_moments(table["x"], Field("x", FieldKind.TIME, **options))
    return "missing" if found is None else str(found)


def as_list(table: pl.DataFrame, options: dict[str, Any], read: str) -> str:
    """Tell whether the values have the ids of those that they should be read as."""
    field = Field("x", FieldKind.MULTI, **options)
    expected = json.loads(read) if read.startswith("[") else []
    known = pl.DataFrame({"x": [[str(one) for one in expected], ["other"]], "item": [1, 2], "y": [0, 1]})
    encoder, batch = Encoder.fit(known, Schema((ITEM, field), (Task("y"),)), ROUNDS, 0)
    (found,) = ([one for one in row if one] for row in encoder.encode(table).features.multi[0].tolist())
    if not found:
        return "missing"
    return read if found == batch.features.multi[0][0].tolist()[: len(expected)] else f"other ids, {found}"


def as_group(table: pl.DataFrame, options: dict[str, Any], read: str) -> str:
    def number(rows: pl.DataFrame) -> int:
        return int(TableRoles(rows, Schema((ITEM,), (Task("y"),), group="x")).array("group")[0])

    if (found := number(table)) == 0:
        return "missing"
    return read if found == number(pl.DataFrame({"x": [json.loads(read)]})) else str(found)


KINDS = {"id": as_id, "number": as_number, "label": as_label, "time": as_time, "list": as_list, "group": as_group}


@pytest.mark.parametrize(("kind", "options", "form", "text", "read"), list(examples()))
def test_it_is_read_as_the_page_says(
    kind: str, options: dict[str, Any], form: str, text: str, read: str, tmp_path: Path
) -> None:
    table = table_of(form, text, tmp_path)
    if read == "refused":
        with pytest.raises(AutomtlError, match="'x'"):
            KINDS[kind](table, options, read)
    else:
        assert KINDS[kind](table, options, read) == read


def test_every_kind_is_there() -> None:
    assert {row[0].split(", ")[0] for row in ROWS} == set(KINDS) and len(ROWS) > 50


def test_the_schema_of_the_page_is_read() -> None:
    (text,) = re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL)
    assert len(Schema.from_dict(yaml.safe_load(text)).fields) == 5
