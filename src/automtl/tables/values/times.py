"""Times: instants where a zone is known, else local times as they are written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from automtl.errors import EncodingError
from automtl.tables.schema import Field
from automtl.tables.values.ids import CLOCKS, TEXTS, own_name, unnamed
from automtl.tables.values.numbers import as_numbers, present_texts

MICROSECONDS = 86_400_000_000  # of a day
SCALES = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}  # microseconds of a unit
LIKELY = (31_536_000_000_000, 7_258_118_400_000_000)  # 1971 to 2200, in microseconds since 1970
DATE, CLOCK = r"\d{4}-\d{2}-\d{2}", r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
OFFSET = r"(?:Z| ?UTC| ?[+-]\d{2}(?::?\d{2})?)"
MOMENT = rf"^\s*{DATE}(?:{CLOCK}{OFFSET}?)?\s*$"  # a date or time as text
_OFFSET = rf"{CLOCK}({OFFSET})$"
SHAPES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
NO_TIME = np.iinfo(np.int64).min
WHOLE = 1 << 53  # whole numbers of this size and more are not told apart by floats


def as_moments(column: pl.Series, field: Field) -> pl.Series:
    """Convert to Datetime in microseconds: in the field's zone if it has one, else as it is written; without a zone.

    The column holds dates, times, ISO texts (or those of the field's `format`), or numbers of its unit since 1970
    (UTC). Times outside the years 1 to 9999 become null. Raises EncodingError for any other column, for a zone where
    the field has none or the other way round, and for numbers that are times of another unit.
    """
    dtype = column.dtype
    if dtype == pl.Null:
        return unnamed(column).cast(pl.Datetime("us"))
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return _plausible(_local(unnamed(column).cast(_microseconds(dtype)), field))
    if field.unit is not None and (dtype not in TEXTS or all_numbers(column)):
        return _plausible(_local(_stamps(column, field).dt.replace_time_zone("UTC"), field, counted=True))
    if dtype in TEXTS:
        return _plausible(_local(parsed_times(column, field.format), field))
    raise EncodingError(
        f"column '{column.name}' is a time in the schema but has type {dtype}; "
        "numbers need a unit since 1970, such as 'unit: s' or 'unit: ms'"
    )


def _microseconds(dtype: pl.DataType) -> pl.Datetime:
    return pl.Datetime("us", dtype.time_zone if isinstance(dtype, pl.Datetime) else None)


def _local(times: pl.Series, field: Field, counted: bool = False) -> pl.Series:
    """Turn instants into local time of the field's zone. `counted`: numbers since 1970, which need no zone."""
    aware = times.dtype.time_zone is not None  # type: ignore[attr-defined]
    if aware and field.zone is None and not counted and times.null_count() < times.len():
        raise EncodingError(
            f"column '{field.name}' holds times of a zone ({times.dtype.time_zone}), the field has none; "  # type: ignore[attr-defined]
            "say 'zone' for it in the schema, or give local times without a zone as at fit"
        )
    if not aware and field.zone is not None and times.null_count() < times.len():
        raise EncodingError(
            f"column '{field.name}' holds times without a zone, the field has zone {field.zone}; give times with a "
            "zone, as at fit"
        )
    if not aware:
        return times
    try:
        return times.dt.convert_time_zone(field.zone or "UTC").dt.replace_time_zone(None)
    except pl.exceptions.PolarsError:
        raise EncodingError(
            f"field '{field.name}': zone {field.zone!r} is unknown; give a name such as 'Europe/Berlin', or '+08:00'"
        ) from None


def _stamps(column: pl.Series, field: Field) -> pl.Series:
    """Convert numbers of the field's unit to Datetime. Raises EncodingError if they are times of another unit."""
    numbers = as_numbers(column)
    stamps = numbers * SCALES[str(field.unit)]
    require_unit(numbers.alias(column.name), str(field.unit))
    stamps = stamps.set((stamps.abs() > 2.0**62).fill_null(False), None)
    return stamps.floor().cast(pl.Int64).cast(pl.Datetime("us"))


def require_unit(column: pl.Series, unit: str | None) -> None:
    """Raise EncodingError if a column holds plain numbers that are times of these years, but in another unit."""
    likely = likely_unit(column) if unit in SCALES and is_number(column) else None
    middle = None if likely is None else as_numbers(column).median()
    if isinstance(middle, float) and not is_likely(middle, str(unit)):
        raise EncodingError(
            f"column '{own_name(column)}' holds {middle:.0f}, which is no time of these years in '{unit}' "
            f"but in '{likely}'; say 'unit: {likely}' in the schema, or give the unit as at fit"
        )


def is_likely(number: float, unit: str) -> bool:
    """Tell whether a number of a unit since 1970 is a time of these years."""
    return LIKELY[0] <= number * SCALES[unit] <= LIKELY[1]


def _plausible(moments: pl.Series) -> pl.Series:
    years = moments.dt.year()
    return moments.set(((years < 1) | (years > 9999)).fill_null(False), None)


def parsed_times(texts: pl.Series, shape: str | None = None) -> pl.Series:
    """Parse texts to Datetime: of zone UTC where they have an offset, else without a zone. `shape`: strftime's.

    Raises EncodingError that shows a text that is no time, or where only some texts have an offset.
    """
    plain = present_texts(texts)
    if shape is not None:
        found = plain.str.to_datetime(shape, time_unit="us", strict=False)
        found = found if found.dtype.time_zone is None else found.dt.convert_time_zone("UTC")  # type: ignore[attr-defined]
    else:
        found = _parsed_iso(texts.name, plain)
    odd = unnamed(texts).filter(found.is_null() & plain.is_not_null())
    if odd.len():
        wanted = repr(shape) if shape else "2024-01-31 or 2024-01-31 12:30:00, or numbers with 'unit: s' or 'unit: ms'"
        raise EncodingError(
            f"column '{own_name(texts)}' is a time but holds {odd[0]!r}; expected {wanted}; "
            "say a 'format' such as '%m/%d/%Y %H:%M' for its time field, or convert it"
        )
    return found


def _parsed_iso(name: str, plain: pl.Series) -> pl.Series:
    plain = plain.str.replace(r"(\d)T(\d)", "$1 $2").str.replace(",", ".", literal=True)
    offsets = offsets_of(plain)
    aware = offsets.len() - offsets.null_count()
    if not aware:
        return _naive(plain)
    if aware < plain.len() - plain.null_count():
        raise EncodingError(
            f"column '{name}' holds times with an offset ({plain.filter(offsets.is_not_null())[0]!r}) and without "
            f"({plain.filter(offsets.is_null() & plain.is_not_null())[0]!r}); write all of them alike"
        )
    local = _naive(plain.str.replace(rf"{OFFSET}$", ""))
    return (local - _minutes(offsets)).dt.replace_time_zone("UTC")


def _naive(plain: pl.Series) -> pl.Series:
    found = plain.str.to_datetime(SHAPES[0], time_unit="us", strict=False, exact=True)
    for shape in SHAPES[1:]:
        if found.null_count() > plain.null_count():
            found = found.zip_with(found.is_not_null(), plain.str.to_datetime(shape, time_unit="us", strict=False))
    return found


def offsets_of(plain: pl.Series) -> pl.Series:
    """Find the offsets from UTC that stripped texts of times end in, null without one."""
    return plain.str.extract(_OFFSET, 1).str.strip_chars()


def _minutes(offsets: pl.Series) -> pl.Series:
    """Convert offsets such as Z, +08, +0800, +08:00 to durations."""
    signs = offsets.str.replace("^(?:Z|UTC)$", "+00").str.replace(":", "", literal=True).str.pad_end(5, "0")
    numbers = signs.cast(pl.Int64)
    hours, minutes = numbers.abs() // 100, numbers.abs() % 100
    microseconds = (hours * 60 + minutes) * 60_000_000 * numbers.sign()
    return microseconds.cast(pl.Duration("us"))


def zone_of(column: pl.Series) -> str | None:
    """Find the zone of a column of times: that of its type, or the one offset of its texts (several: UTC)."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dtype.time_zone
    if column.dtype not in TEXTS:
        return None
    offsets = offsets_of(present_texts(column)).drop_nulls().unique()
    if offsets.len() == 0:
        return None
    minutes = _minutes(offsets).dt.total_minutes().unique()
    if minutes.len() > 1 or minutes[0] == 0:
        return "UTC"
    return f"{'-' if minutes[0] < 0 else '+'}{abs(minutes[0]) // 60:02d}:{abs(minutes[0]) % 60:02d}"


def days_of(moments: pl.Series) -> pl.Series:
    """Convert times to days since 1970, Float64."""
    return moments.to_physical().cast(pl.Float64) / MICROSECONDS


def time_order(times: pl.Series, field: Field | None = None) -> np.ndarray:
    """Return (N,) int64 in the order of the times, NO_TIME where missing. `field`: the time field of the column.

    Times are microseconds since 1970, numbers are kept in their order; a column holds either. Raises EncodingError
    that shows a value that is neither.
    """
    dtype = times.dtype
    if field is not None:
        keys = as_moments(times, field if field.zone is None else replace(field, zone="UTC")).to_physical()
    elif dtype == pl.Date or isinstance(dtype, pl.Datetime):
        keys = _instants(unnamed(times).cast(_microseconds(dtype)))
    elif dtype in TEXTS and not all_numbers(times):
        keys = _instants(parsed_times(times))
    else:
        return _number_order(times)
    return np.where(keys.is_null().to_numpy(), NO_TIME, keys.fill_null(0).to_numpy())


def _instants(times: pl.Series) -> pl.Series:
    return _plausible(times).to_physical()  # of a zone or not: polars counts from 1970


def all_numbers(texts: pl.Series) -> bool:
    """Tell whether all texts are plain numbers or missing."""
    plain = present_texts(texts)
    return plain.cast(pl.Float64, strict=False).null_count() == plain.null_count()


def is_number(times: pl.Series) -> bool:
    """Tell whether times are plain numbers, whose unit has to be known."""
    if times.dtype in TEXTS:
        return all_numbers(times)
    return times.dtype != pl.Date and times.dtype not in CLOCKS


def likely_unit(numbers: pl.Series) -> str | None:
    """Find the unit since 1970 in which the median of a column is a time of these years; None if there is none."""
    middle = as_numbers(numbers).median()
    return next((unit for unit in SCALES if isinstance(middle, float) and is_likely(middle, unit)), None)


def unit_of(numbers: pl.Series) -> str:
    """Return the likely unit of a column of times or, if they do not count from 1970, one that makes them fit."""
    if (unit := likely_unit(numbers)) is not None:
        return unit
    size = as_numbers(numbers).abs().quantile(0.95)
    return next((unit for unit in SCALES if size is None or size * SCALES[unit] <= LIKELY[1]), "ns")


def _number_order(times: pl.Series) -> np.ndarray:
    """Order numbers by the bits of their floats; whole numbers that these do not tell apart by fours."""
    if times.dtype in (pl.Time, pl.Duration):
        times = unnamed(times).to_physical()
    numbers = as_numbers(times)
    bits = (numbers.fill_null(0.0).to_numpy() + 0.0).view(np.int64)
    keys = np.where(bits < 0, bits ^ np.iinfo(np.int64).max, bits)
    if times.dtype.is_integer() and bool((numbers.abs() >= WHOLE).any()):
        whole = unnamed(times).cast(pl.Int64, strict=False).fill_null(0).to_numpy()
        keys = np.where(np.abs(whole) >= WHOLE, _beyond(whole), keys)
    return np.where(numbers.is_null().to_numpy(), NO_TIME, keys)


def _beyond(whole: np.ndarray) -> np.ndarray:
    """Number whole numbers beyond 2^53 on from the bits of the float 2^53, four to a number."""
    first = np.float64(WHOLE).view(np.int64)
    return np.where(whole > 0, first + (whole - WHOLE) // 4, (-first - 1) + (whole + WHOLE) // 4)
