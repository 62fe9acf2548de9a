"""Ids: whole numbers where values are whole numbers, else texts. Every form of a value gives the same id.

The form is decided value by value, so that it does not matter how a column is typed, cut into parts or chunked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from automtl.errors import EncodingError

JOINT = "\x1f"  # joins the parts of a pair of ids; no text column holds it
TEXTS = (pl.String, pl.Categorical, pl.Enum)
LISTS = (pl.List, pl.Array)
CLOCKS = (pl.Datetime, pl.Time, pl.Duration)
ABSENT = ("", "?", "NA", "N/A", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None", "\\N")  # texts for 'no value'
_ABSENT = r"^[ \t\r\n]*(?:\?|NA|N/A|<NA>|NaN|nan|NaT|null|NULL|None|\\N)?[ \t\r\n]*$"
_DECIMAL, _TRUTH = r"^-?(?:0|[1-9]\d*)\.\d+$", r"^(?:true|True|TRUE|false|False|FALSE)$"
LEADING_ZEROS = r"^[+-]?0\d+$"  # text, though it looks like a number
_SMALL = r"^-?\d(?:\.\d+)?[eE]-\d+$"  # as libraries print 0.0000001
_ROUNDED = r"^-?\d\.\d+[eE]\+?\d+$"  # as libraries print large floats
_OTHER_FORMS = "|".join((_ABSENT, _DECIMAL, _TRUTH, _SMALL, _ROUNDED))
_BEGINNINGS = np.isin(np.arange(256, dtype=np.uint8), np.frombuffer(b"\0 \t\r\n-0123456789?NnTtFf<\\", np.uint8))


def unnamed(column: pl.Series) -> pl.Series:
    """Return a column whose name polars takes for no pattern, as it takes '*' and '^a$', since a blank follows them."""
    return column.alias(f"{column.name} ") if _is_pattern(column.name) else column


def _is_pattern(name: str) -> bool:
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def own_name(column: pl.Series) -> str:
    """Return the name that a column, which may have gone through `unnamed`, has in its table."""
    name = column.name
    return name[:-1] if name.endswith(" ") and _is_pattern(name[:-1]) else name


def as_integers(column: pl.Series) -> pl.Series | None:
    """Convert to Int64 if every value is a whole number of another type than text, else None. Int64 is not copied."""
    column, dtype = unnamed(column), column.dtype
    if dtype.is_float() or dtype.is_decimal():
        column = finite(column) if dtype.is_float() else column
        if not ((column == column.round()) & (column.abs() < 2**53)).all():
            return None
        return column.cast(pl.Int64)
    if dtype.is_integer() or dtype in (pl.Boolean, pl.Null):
        integers = column.cast(pl.Int64, strict=False)
        return integers if integers.null_count() == column.null_count() else None
    return None


def whole_texts(texts: pl.Series) -> pl.Series:
    """Convert to Int64 each text that is the one way to write its number; null elsewhere."""
    if texts.dtype != pl.String:
        return texts
    texts = unnamed(texts)
    numbers = texts.cast(pl.Int64, strict=False)
    if numbers.null_count() == texts.len():
        return numbers
    return numbers.set((numbers.cast(pl.String) != texts).fill_null(False), None)


def as_text(column: pl.Series) -> pl.Series:
    """Convert to String in the canonical form of ids, null where missing. Raises EncodingError for other than ids."""
    return canonical_texts(column.cast(pl.String)) if column.dtype in TEXTS else as_raw_text(column)


def as_raw_text(column: pl.Series) -> pl.Series:
    """Convert to String: texts stay as they are, all other types get the canonical form of ids."""
    dtype = column.dtype
    if dtype in TEXTS:
        return unnamed(column).cast(pl.String)
    require_ids(column, rounded=False)
    integers = as_integers(column)
    if integers is not None:
        return integers.cast(pl.String)
    column = finite(unnamed(column)).cast(pl.Float64) if dtype.is_float() else unnamed(column)
    return canonical_texts(column.cast(pl.String), printed=True)


def canonical_texts(texts: pl.Series, *, printed: bool = False) -> pl.Series:
    """Write texts in the canonical form of ids, null where they say that there is no value.

    `printed`: they were printed from numbers, which are not rounded thereby.
    """
    places, forms = other_forms(texts, printed=printed)
    return unnamed(texts).clone().scatter(places, forms) if len(places) else unnamed(texts)


def other_forms(texts: pl.Series, *, printed: bool = False) -> tuple[np.ndarray, pl.Series]:
    """Find texts that are not canonical: their places, (n,), and canonical forms, null for 'no value'.

    Raises EncodingError for a whole number that was rounded when it was written.
    """
    texts = unnamed(texts)
    likely = likely_places(texts)
    places = (
        likely[texts.gather(likely).str.contains(_OTHER_FORMS).fill_null(False).to_numpy()] if len(likely) else likely
    )
    return places, _rewritten(texts.gather(places), printed) if len(places) else texts.head(0)


def likely_places(texts: pl.Series, places: np.ndarray | None = None) -> np.ndarray:
    """Find the texts, all or those at places (n,), that begin as texts do that are not canonical; returns their places.

    Arrow keeps the length and the first four bytes of a text in its view of 16 bytes, so that no text is touched.
    """
    first = [_views(chunk)[:, 4] for chunk in texts.get_chunks() if chunk.len()]
    if not first:
        return np.zeros(0, np.int64)
    bytes_of = first[0] if len(first) == 1 else np.concatenate(first)
    if places is None:
        return np.flatnonzero(_BEGINNINGS.take(bytes_of))
    found: np.ndarray = places[_BEGINNINGS.take(bytes_of[places])]
    return found


def _views(chunk: pl.Series) -> np.ndarray:
    array = chunk.to_arrow(compat_level=pl.CompatLevel.newest())
    return np.frombuffer(array.buffers()[1], np.uint8).reshape(-1, 16)[array.offset : array.offset + len(array)]


def _rewritten(texts: pl.Series, printed: bool) -> pl.Series:
    absent = texts.str.contains(_ABSENT)
    rounded = texts.filter(texts.str.contains(_ROUNDED))
    if rounded.len() and not printed:
        raise EncodingError(
            f"column '{own_name(texts)}' is read as ids but holds {rounded[0]!r}, which a program has rounded; "
            "write the ids as integers or as text"
        )
    small = texts.str.contains(_SMALL) & ~absent
    if small.any():
        plain = [np.format_float_positional(float(text), trim="-") for text in texts.filter(small)]
        texts = texts.clone().scatter(small.arg_true(), plain)
    found = texts.str.replace(r"^(-?\d+)\.0+$", "$1").str.replace(r"^(-?\d+\.\d*[1-9])0+$", "$1")
    found = found.str.replace("^-0$", "0").str.replace("^(?i:true)$", "1").str.replace("^(?i:false)$", "0")
    return found.set(absent, None)


def as_ids(column: pl.Series) -> pl.Series:
    """Convert to the canonical form of ids: Int64 if every value is a whole number, else String; null if missing."""
    integers = as_integers(column)
    if integers is not None:
        return integers
    texts = as_text(column)
    return texts if whole_texts(texts.head(100)).null_count() > texts.head(100).null_count() else _whole_if_all(texts)


def _whole_if_all(texts: pl.Series) -> pl.Series:
    numbers = whole_texts(texts)
    return texts if numbers.null_count() > texts.null_count() else numbers


def joined_ids(parts: Sequence[pl.Series]) -> pl.Series:
    """Join columns of canonical ids one after another: Int64 if all are, else String."""
    same = all(part.dtype == pl.Int64 for part in parts)
    return pl.concat(parts if same else [part.cast(pl.String) for part in parts])


def joined_texts(parts: Sequence[pl.Series]) -> pl.Series:
    """Join text columns row by row; null where one of them is null."""
    named = [part.alias(str(place)) for place, part in enumerate(parts)]
    return pl.DataFrame(named).select(pl.concat_str(pl.all(), separator=JOINT)).to_series()


def finite(numbers: pl.Series) -> pl.Series:
    """Turn NaN and infinity into null; returns the column itself where there is none."""
    numbers = unnamed(numbers)
    finite = numbers.is_finite()
    return numbers if finite.all() else numbers.set((~finite).fill_null(False), None)


def require_ids(column: pl.Series, *, rounded: bool = True) -> None:
    """Raise EncodingError for a type that holds no ids and, if `rounded`, for floats that may have been rounded."""
    dtype, name, column = column.dtype, column.name, unnamed(column)
    if dtype in LISTS or dtype == pl.Struct:
        raise EncodingError(
            f"column '{name}' is categorical in the schema but has type {dtype}; "
            "give one value a row, or make a list 'kind: multi'"
        )
    if dtype in CLOCKS:
        raise EncodingError(
            f"column '{name}' is read as ids but has type {dtype}; make it 'kind: time', or convert it to text"
        )
    if rounded and dtype.is_float():
        limit = float_limit(dtype)
        beyond = column.filter(column.is_finite() & (column.abs() >= limit))
        if beyond.len():
            raise EncodingError(
                f"column '{name}' is read as ids but holds {beyond[0]:.0f} as {dtype}, which may be "
                f"rounded: from {limit:.0f} on not every whole number is one; write the ids as integers or as text"
            )


def float_limit(dtype: pl.DataType) -> float:
    """Return the number below which a type of floats holds every whole number."""
    return 2.0**24 if dtype == pl.Float32 else 2.0**53


def written_alike(column: pl.Series, rules: Sequence[str]) -> pl.Series:
    """Strip blanks and lower the case of texts, or of lists of texts, as the rules say; other columns stay.

    Texts that say that there is no value become null first.
    """
    if isinstance(column.dtype, pl.Array):
        column = unnamed(column).arr.to_list().alias(column.name)
    if column.dtype in TEXTS:
        return column.alias("text").to_frame().select(_alike(pl.col("text"), rules)).to_series().alias(column.name)
    if isinstance(column.dtype, pl.List) and column.dtype.inner in TEXTS:
        return unnamed(column).list.eval(_alike(pl.element(), rules)).alias(column.name)
    return column


def _alike(texts: pl.Expr, rules: Sequence[str]) -> pl.Expr:
    texts = texts.cast(pl.String)
    texts = pl.when(~texts.str.contains(_ABSENT)).then(texts)
    for rule in rules:
        texts = texts.str.strip_chars() if rule == "strip" else texts.str.to_lowercase()
    return texts
