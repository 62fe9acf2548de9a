"""Numbers and labels: Float64, null where missing, from numbers and from texts with any separators."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from automtl.errors import EncodingError, RowError, SchemaError
from automtl.tables.schema import Field
from automtl.tables.values.ids import ABSENT, TEXTS, finite, unnamed

TRUTHS = {"true": "1", "t": "1", "yes": "1", "y": "1", "false": "0", "f": "0", "no": "0", "n": "0"}
SPACES = ("\u00a0", "\u202f", "\u2009")  # that separate thousands like a blank does
FEW = 100  # first texts, which often tell enough
Marks = tuple[str, str | None]  # the signs of decimals and of thousands
MARKS: tuple[Marks, ...] = ((".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))


def as_numbers(column: pl.Series, field: Field | None = None) -> pl.Series:
    """Convert to Float64; NaN and infinity become null. `field`: says the separators, if any.

    Raises EncodingError that shows a value that is no number, or that may be read in two ways.
    """
    if column.dtype in TEXTS:
        given = None if field is None or (field.decimal, field.thousands) == (None, None) else field
        return finite(_parsed(column, None if given is None else (given.decimal or ".", given.thousands)))
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        raise EncodingError(
            f"column '{column.name}' is numeric in the schema but has type {column.dtype}; convert it to numbers"
        )
    return finite(unnamed(column).cast(pl.Float64))


def present_texts(column: pl.Series) -> pl.Series:
    """Strip texts of outer blanks, and turn those that say there is no value into null."""
    text = unnamed(column).cast(pl.String).str.strip_chars()
    return text.set(text.is_in(ABSENT).fill_null(False), None)


def _parsed(column: pl.Series, marks: Marks | None) -> pl.Series:
    texts = present_texts(column)
    numbers = texts.cast(pl.Float64, strict=False) if marks is None else _plain_or_marked(texts, marks)
    odd = texts.filter(numbers.is_null() & texts.is_not_null())
    if odd.len() == 0:
        return numbers
    truths = texts.str.to_lowercase().replace_strict({"true": 1.0, "false": 0.0}, default=None, return_dtype=pl.Float64)
    numbers = numbers.zip_with(numbers.is_not_null(), truths)
    left = texts.filter(numbers.is_null() & texts.is_not_null())
    if left.len() == 0:
        return numbers
    readings = list(_readings(texts)) if marks is None else []
    if len(readings) == 1:
        return readings[0][1]
    raise _no_number(column.name, left[0], [marks for marks, _ in readings])


def _plain_or_marked(texts: pl.Series, marks: Marks) -> pl.Series:
    """Parse texts of these separators, or plain numbers that cannot be groups of three digits."""
    numbers, plain = with_marks(texts, marks), texts.cast(pl.Float64, strict=False)
    grouped = texts.str.contains(r"^[+-]?[1-9]\d{0,2}\.\d{3}$").fill_null(False)
    return numbers.zip_with(numbers.is_not_null() | grouped, plain)


def _no_number(name: str, text: str, readings: list[Marks]) -> EncodingError:
    if not readings:
        return EncodingError(
            f"column '{name}' is numeric in the schema but holds {text!r}; "
            "make it 'kind: categorical' or correct the value"
        )
    ways = " or ".join(f"{with_marks(pl.Series([text]), marks)[0]:g}" for marks in readings)
    return EncodingError(
        f"column '{name}' holds {text!r}, which may be {ways}; say 'decimal' and 'thousands' for it in the schema"
    )


def with_marks(texts: pl.Series, marks: Marks) -> pl.Series:
    """Parse stripped texts of these separators to Float64; null where a text is no such number."""
    decimal, thousands = marks
    if thousands is not None:
        for space in SPACES if thousands == " " else ():
            texts = texts.str.replace_all(space, " ", literal=True)
        sign = f"\\{thousands}"
        grouped = texts.str.contains(rf"^[+-]?[1-9]\d{{0,2}}(?:{sign}\d{{3}})+(?:\{decimal}\d+)?$")
        texts = texts.zip_with(~grouped, texts.str.replace_all(thousands, "", literal=True))
    if decimal != ".":
        plain = texts.str.contains(rf"^[+-]?\d*\{decimal}?\d+(?:[eE][+-]?\d+)?$")
        texts = texts.str.replace(decimal, ".", literal=True).set((~plain).fill_null(False), None)
    return texts.cast(pl.Float64, strict=False)


def _readings(texts: pl.Series) -> Iterator[tuple[Marks, pl.Series]]:
    """Yield each way to read all texts as numbers, and the numbers, if they differ from those before."""
    seen: list[pl.Series] = []
    for marks in MARKS:
        numbers = with_marks(texts, marks)
        if numbers.null_count() == texts.null_count() and not any(numbers.equals(one) for one in seen):
            seen.append(numbers)
            yield marks, numbers


def marks_of(texts: pl.Series) -> Marks | None:
    """Guess the separators of stripped texts that are no plain numbers; None if they are none at all.

    Of two readings, groups of three digits are thousands, unless a text has four digits without a separator.
    """
    if not any(_readings(texts.head(FEW))):  # mostly they are other texts
        return None
    found = [marks for marks, _ in _readings(texts)]
    if not found:
        return None
    ungrouped = texts.str.contains(r"^[+-]?\d{4,}$").any()
    return found[-1 if ungrouped else 0]


def as_labels(column: pl.Series, what: str = "task") -> pl.Series:
    """Convert labels to numbers or booleans; NaN becomes null. Texts may be numbers or say true, yes, false, no.

    `what`: the column's role, for messages. Raises RowError that shows any other text.
    """
    if column.dtype.is_float() or column.dtype == pl.Null:
        return unnamed(column).cast(pl.Float64).fill_nan(None)
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return unnamed(column)
    if column.dtype not in TEXTS:
        raise SchemaError(
            f"{what} '{column.name}': values must be numbers, the column holds {column.dtype}; convert it"
        )
    text = present_texts(column)
    numbers = text.str.to_lowercase().replace(TRUTHS).cast(pl.Float64, strict=False)
    odd = numbers.is_null() & text.is_not_null()
    if odd.any():
        readings = list(_readings(text))
        if len(readings) == 1:
            return readings[0][1]
        row = int(odd.arg_max() or 0)
        expected = f"{what} '{column.name}': values must be numbers, or true and false, or yes and no"
        raise RowError(row, f"{expected}, found {column[row]!r}", "convert the column")
    return numbers
