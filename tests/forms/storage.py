"""Storage types: each turns a column of Python values into a polars column, or a list of objects, if it holds them."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from tests.forms.kinds import Kind, Reader, Values

ABSENT = ("", "?", "NA", "N/A", "<NA>", "NaN", "nan", "null", "NULL", "None", "\\N", "NaT")  # by the page of values
UTC = dt.UTC
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
Stored = pl.Series | list[Any]


@dataclass(frozen=True)
class Marks:
    """How a table writes numbers and lists as text: options of its fields."""

    decimal: str = "."
    thousands: str | None = None
    delimiter: str | None = None

    def number(self, text: str) -> str:
        """Write a number, made with a point and commas, with the marks of the table."""
        return text.translate({ord("."): self.decimal, ord(","): self.thousands or ""})


@dataclass(frozen=True)
class Type:
    """One storage type: which readers' columns it may hold, and how."""

    readers: tuple[Reader, ...]
    store: Callable[[Random, Values, Kind, Marks], Stored | None]
    text: bool = False
    floats: bool = False


class Unstorable(Exception):
    """This type does not hold this value exactly."""


def plain(value: Any) -> str:
    """Write a value as most programs do."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, Decimal):
        return str(int(value)) if value == value.to_integral() else format(value.normalize(), "f")
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    return str(value)


def to_whole(value: Any) -> int:
    """Convert to int; text is not storable."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, Decimal) and value == value.to_integral():
        return int(value)
    raise Unstorable


def to_float(value: Any, bits: int = 64) -> float:
    """Convert to a float that prints the value."""
    if not isinstance(value, bool | int | Decimal):
        raise Unstorable
    found = float(value) if bits == 64 else float(np.float32(float(value)))
    if Decimal(found) != value and (bits == 32 or Decimal(repr(found)) != value):
        raise Unstorable
    return found


def series(cells: Values, dtype: Any) -> pl.Series:
    """Make a column that holds exactly these cells."""
    try:
        return pl.Series(cells, dtype=dtype, strict=True)
    except (TypeError, OverflowError, ValueError, pl.exceptions.PolarsError):
        raise Unstorable from None


def whole_type(dtype: Any) -> Type:
    """Return an integer type."""
    return Type(
        ("id", "number", "truth"),
        lambda rng, values, kind, marks: series([None if v is None else to_whole(v) for v in values], dtype),
    )


def float_type(dtype: Any, bits: int) -> Type:
    """Return a type of floats, where missing is null, NaN or infinity."""

    def store(rng: Random, values: Values, kind: Kind, marks: Marks) -> pl.Series:
        limit = 2**53 if bits == 64 else 2**24
        if kind.reader == "id" and any(isinstance(v, int) and abs(v) >= limit for v in values):
            raise Unstorable
        holes = [None, math.nan, math.inf] if kind.entry.get("kind") == "numeric" else [None, math.nan]
        return series([rng.choice(holes) if v is None else to_float(v, bits) for v in values], dtype)

    return Type(("id", "number", "truth"), store, floats=True)


def decimal_type(precision: int, scale: int) -> Type:
    """Return a decimal type."""

    def store(rng: Random, values: Values, kind: Kind, marks: Marks) -> pl.Series:
        cells = [None if v is None else _decimal(v, precision, scale) for v in values]
        return series(cells, pl.Decimal(precision, scale))

    return Type(("id", "number", "truth"), store)


def _decimal(value: Any, precision: int, scale: int) -> Decimal:
    if not isinstance(value, bool | int | Decimal) or abs(value) >= 10 ** (precision - scale):
        raise Unstorable
    if isinstance(value, Decimal) and -int(value.as_tuple().exponent) > scale:
        raise Unstorable
    return Decimal(value)


def text_type(
    readers: tuple[Reader, ...],
    spell: Callable[[Random, Any, Kind, Marks], str],
    change: Callable[[pl.Series], pl.Series] = lambda texts: texts,
    *,
    absent: bool = True,
) -> Type:
    """Return a type of texts; missing is null or, if `absent` is set, one of the words for it."""

    def store(rng: Random, values: Values, kind: Kind, marks: Marks) -> pl.Series:
        holes = [None, *ABSENT] if absent and kind.reader != "list" else [None]
        return change(
            pl.Series([rng.choice(holes) if v is None else spell(rng, v, kind, marks) for v in values], dtype=pl.String)
        )

    return Type(readers, store, text=True)


def as_written(rng: Random, value: Any, kind: Kind, marks: Marks) -> str:
    """Write a value as it is; text that is to be stripped, with blanks and capitals."""
    if kind.entry.get("text") and isinstance(value, str):
        return rng.choice([value, value.upper(), f" {value}", f"{value.title()}  "])
    if kind.entry.get("kind") == "numeric":
        return marks.number(plain(value))
    return plain(value)


def with_zeros(rng: Random, value: Any, kind: Kind, marks: Marks) -> str:
    """Write numbers with zeros behind the point."""
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, int | Decimal):
        text = plain(value)
        text += rng.choice(["0", "00"]) if "." in text else rng.choice([".0", ".00"])
        return marks.number(text) if kind.entry.get("kind") == "numeric" else text
    raise Unstorable


def with_thousands(rng: Random, value: Any, kind: Kind, marks: Marks) -> str:
    """Write numbers with separators of thousands."""
    if marks.thousands is None or not isinstance(value, int | Decimal) or kind.entry.get("kind") != "numeric":
        raise Unstorable
    return marks.number(f"{value:,}" if isinstance(value, int) else f"{value.normalize():,f}")


def truth_word(rng: Random, value: Any, kind: Kind, marks: Marks) -> str:
    """Write a truth in any of the ways that ids and labels share."""
    return rng.choice([str(value), str(value).lower(), str(value).upper(), str(int(value)), f"{int(value)}.0"])


def iso(rng: Random, value: Any, kind: Kind, marks: Marks) -> str:
    """Write a time as one of ISO's texts; an instant with the offset of any zone."""
    if kind.entry.get("unit"):
        raise Unstorable
    if value.tzinfo is not None:
        value = value.astimezone(rng.choice([UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")]))
    text = value.isoformat(rng.choice(["T", " "]), rng.choice(["seconds", "milliseconds", "microseconds"]))
    return rng.choice([text, text.replace("+00:00", "Z"), text[:-3] + text[-2:] if text[-6] in "+-" else text])


def short_iso(rng: Random, value: Any, kind: Kind, marks: Marks) -> str:
    """Write a local time without its seconds, or hours, if these are 0."""
    if value.tzinfo is not None or value.second:
        raise Unstorable
    if rng.random() < 0.5 and not (value.hour or value.minute):
        return value.strftime("%Y-%m-%d")
    return value.strftime(rng.choice(["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]))


def moment_type(unit: str, zone: str | None) -> Type:
    """Return a type of times: of local ones without a zone, of instants with one."""

    def store(rng: Random, values: Values, kind: Kind, marks: Marks) -> pl.Series:
        aware = any(v is not None and v.tzinfo is not None for v in values)
        if aware != (zone is not None):
            raise Unstorable
        instants = [None if v is None else v.astimezone(UTC).replace(tzinfo=None) if aware else v for v in values]
        column = series(instants, pl.Datetime(unit))  # type: ignore[arg-type]
        return column if zone is None else column.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)

    return Type(("time",), store)


def stamp_type(dtype: Any) -> Type:
    """Return a type of numbers since 1970, of fields with a unit."""

    def store(rng: Random, values: Values, kind: Kind, marks: Marks) -> pl.Series:
        unit = kind.entry.get("unit")
        if unit is None:
            raise Unstorable
        scale = {"s": 1, "ms": 1_000, "us": 1_000_000}[unit]
        stamps = [None if v is None else int((v - EPOCH) / dt.timedelta(seconds=1)) * scale for v in values]
        if dtype == pl.String:
            return pl.Series([None if stamp is None else str(stamp) for stamp in stamps], dtype=pl.String)
        return series(stamps, pl.Int64).cast(dtype)

    return Type(("time",), store, text=dtype == pl.String, floats=dtype == pl.Float64)


def dates(rng: Random, values: Values, kind: Kind, marks: Marks) -> pl.Series:
    """Store dates, or local times of midnight."""
    for v in values:
        if not (v is None or isinstance(v, dt.date)):
            raise Unstorable
        if isinstance(v, dt.datetime) and (v.tzinfo is not None or v.time() != dt.time()):
            raise Unstorable
    return series([v.date() if isinstance(v, dt.datetime) else v for v in values], pl.Date)


def list_type(element: Any) -> Type:
    """Return a type of lists; one without elements may be missing."""

    def store(rng: Random, values: Values, kind: Kind, marks: Marks) -> pl.Series:
        cells = [
            None if v is None or (not v and rng.random() < 0.5) else [_element(e, element) for e in v] for v in values
        ]
        return series(cells, pl.List(element))

    return Type(("list",), store)


def _element(value: Any, dtype: Any) -> Any:
    if value is None:
        return None
    if dtype == pl.String or isinstance(dtype, pl.Enum | pl.Categorical):
        return str(value)
    if dtype == pl.Float64:
        if not isinstance(value, int) or abs(value) >= 2**53:
            raise Unstorable
        return float(value)
    return to_whole(value)


def list_text(write: Callable[[Values, Marks], str]) -> Type:
    """Return a type of lists that are written as texts."""
    return text_type(("list",), lambda rng, value, kind, marks: write(value, marks))


def delimited(value: Values, marks: Marks) -> str:
    """Write a list with the delimiter of its field."""
    texts = [str(one) for one in value if one is not None]
    if marks.delimiter is None or any(marks.delimiter in text or text[0] in "[" for text in texts):
        raise Unstorable
    return marks.delimiter.join(texts)


def as_numpy(value: Values, marks: Marks) -> str:
    """Write a list as numpy prints an array; numbers of which some are missing are floats there."""
    if any(isinstance(one, str) for one in value):
        return str(np.array(value, dtype=object))
    if None in value:
        return str(np.array([math.nan if one is None else _element(one, pl.Float64) for one in value]))
    return str(np.array(value, dtype=np.int64))


def json_texts(value: Values, marks: Marks) -> str:
    """Write a list of texts as JSON, with letters as they are."""
    return json.dumps([one if one is None else str(one) for one in value], ensure_ascii=False)


def as_bare(value: Values, marks: Marks) -> str:
    """Write a list as DuckDB prints simple ones."""
    texts = ["NULL" if one is None else str(one) for one in value]
    if any(set(text) & set(" ,'\"[]") for text in texts):
        raise Unstorable
    return f"[{', '.join(texts)}]"


def mixed(rng: Random, values: Values, kind: Kind, marks: Marks) -> list[Any]:
    """Store Python objects of several types in one column."""

    def cell(value: Any) -> Any:
        if value is None:
            return rng.choice([None, math.nan])
        if isinstance(value, Decimal):
            return rng.choice([value, float(value), plain(value)])
        if isinstance(value, bool):
            return rng.choice([value, int(value), str(value), np.bool_(value)])
        if isinstance(value, int) and abs(value) < 2**53:
            return rng.choice(
                [value, float(value), str(value), Decimal(value), np.int32(value) if abs(value) < 2**31 else value]
            )
        return value

    return [cell(value) for value in values]


def objects(rng: Random, values: Values, kind: Kind, marks: Marks) -> list[Any]:
    """Store Python values as they are."""
    return list(values)


def _enum(texts: pl.Series) -> pl.Series:
    return texts.cast(pl.Enum(texts.drop_nulls().unique().to_list()))


def _lists(change: Callable[[Values], Any]) -> Callable[[Random, Values, Kind, Marks], list[Any]]:
    return lambda rng, values, kind, marks: [None if value is None else change(value) for value in values]


SIMPLE: tuple[Reader, ...] = ("id", "number")
TYPES: dict[str, Type] = {
    **{
        str(dtype): whole_type(dtype)
        for dtype in (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Int128)
    },
    "Float32": float_type(pl.Float32, 32),
    "Float64": float_type(pl.Float64, 64),
    "Decimal(38,0)": decimal_type(38, 0),
    "Decimal(18,2)": decimal_type(18, 2),
    "Decimal(30,9)": decimal_type(30, 9),
    "Boolean": Type(("truth",), lambda rng, values, kind, marks: series(values, pl.Boolean)),
    "text": text_type(("id", "number"), as_written),
    "text with nulls": text_type(("id", "number"), as_written, absent=False),
    "text with zeros": text_type(("id", "number", "truth"), with_zeros),
    "text with thousands": text_type(("number",), with_thousands),
    "Categorical": text_type(("id", "number"), as_written, lambda texts: texts.cast(pl.Categorical)),
    "Enum": text_type(("id", "number"), as_written, _enum),
    "words of truth": text_type(("truth",), truth_word),
    "Categorical of truths": text_type(("truth",), truth_word, lambda texts: texts.cast(pl.Categorical)),
    **{
        f"Datetime {unit} {zone}": moment_type(unit, zone)
        for unit in ("ms", "us", "ns")
        for zone in (None, "UTC", "Asia/Shanghai", "America/New_York")
    },
    "Date": Type(("id", "time"), dates),
    "ISO": text_type(("time",), iso),
    "ISO, Categorical": text_type(("time",), iso, lambda texts: texts.cast(pl.Categorical)),
    "short ISO": text_type(("time",), short_iso),
    **{f"{dtype} since 1970": stamp_type(dtype) for dtype in (pl.Int64, pl.Float64, pl.Decimal(20, 2), pl.String)},
    **{f"List({name})": list_type(dtype) for name, dtype in {
        "Int8": pl.Int8, "Int64": pl.Int64, "UInt64": pl.UInt64, "Float64": pl.Float64, "String": pl.String,
        "Categorical": pl.Categorical(), "Decimal": pl.Decimal(38, 0),
    }.items()},
    "list as Python prints it": list_text(lambda value, marks: str(value)),
    "list as JSON": list_text(lambda value, marks: json.dumps(value)),
    "list as JSON of texts": list_text(json_texts),
    "list as numpy prints it": list_text(as_numpy),
    "list as DuckDB prints it": list_text(as_bare),
    "list with a delimiter": list_text(delimited),
    "objects": Type(("id", "number", "truth", "time", "list"), objects),
    "mixed objects": Type(("id", "number", "truth"), mixed),
    "tuples": Type(("list",), _lists(tuple)),
    "arrays": Type(("list",), _lists(lambda value: np.array(value, dtype=object))),
}  # fmt: skip


def stored(name: str, rng: Random, values: Values, kind: Kind, marks: Marks) -> Stored | None:
    """Store values in a type; None if it does not hold them."""
    if kind.reader not in TYPES[name].readers:
        return None
    try:
        return TYPES[name].store(rng, values, kind, marks)
    except Unstorable:
        return None


def stored_types(kind: Kind) -> set[str]:
    """Name the types that hold a column of a kind."""
    marks = (Marks(), Marks(",", ".", "|"))
    draws = [(Random(seed), kind.draw(Random(seed), 12)) for seed in range(8)]
    return {
        name
        for name in TYPES
        for rng, values in draws
        for each in marks
        if stored(name, rng, values, kind, each) is not None
    }
