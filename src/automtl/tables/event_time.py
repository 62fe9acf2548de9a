"""The column that says when a row happened, where none is named; a guess only where there is little doubt."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import polars as pl

from automtl.errors import EncodingError
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import TEXTS, unnamed
from automtl.tables.values.numbers import as_numbers
from automtl.tables.values.times import NO_TIME, SCALES, is_number, likely_unit, time_order

NAMES = (  # of event times, the likelier first
    "event_timestamp", "event_time", "event_ts", "timestamp", "time_stamp", "timestamp_ms", "timestamp_us",
    "unix_timestamp", "unix_time", "ts", "ts_ms", "time_ms", "time_us", "time", "datetime", "date_time",
    "interaction_time", "impression_time", "exposure_time", "show_time", "request_time", "log_time", "server_time",
    "action_time", "behavior_time", "rating_time", "order_time", "purchase_time", "click_time",
)  # fmt: skip
REQUESTS = {"request", "impression", "session", "search", "query", "page", "exposure", "log", "trace", "list", "event"}
SAMPLE = 100_000  # first rows that are looked at
MISSING = 0.05  # share of rows without a time, from which on a column does not say when rows happened
CONSTANT = 0.95  # share of recurring ids with one time each, from which on the time belongs to the id
YEARS = (631_152_000_000_000, 4_102_444_800_000_000)  # 1990 to 2100, in microseconds since 1970


def words_of(name: str) -> list[str]:
    """Split the name of a column into lower-case words."""
    parts = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    return [part for part in parts if part]


def event_time(table: pl.DataFrame, names: Collection[str], fields: Sequence[Field]) -> str | None:
    """Find the time column of a table among some columns; None where no column clearly is one.

    Its name says so, its values are instants of these years, and it is no attribute of an id: a time that is the same
    in all rows of an id, such as the birth of a user, belongs to the id. `fields`: the inputs.

    >>> visits = pl.DataFrame({"user_id": [1, 2, 1], "timestamp": [1_650_000_000, 1_650_000_060, 1_650_000_120]})
    >>> event_time(visits, visits.columns, [Field("user_id", FieldKind.CATEGORICAL)])
    'timestamp'
    """
    sample, own = table.head(SAMPLE), {"_".join(words_of(name)): name for name in names}
    declared = {field.name: field for field in fields if field.kind is FieldKind.TIME}
    for name in (own[known] for known in NAMES if known in own):
        times = _instants(sample[name], declared.get(name))
        ids = [field.name for field in fields if field.kind is FieldKind.CATEGORICAL and field.name != name]
        if times is not None and not any(_belongs(times, sample[other]) for other in ids):
            return name
    return None


def _instants(column: pl.Series, field: Field | None) -> pl.Series | None:
    """Read the times as numbers in their order; None if the values are no instants of these years."""
    if column.dtype in (pl.Time, pl.Duration) or (field is None and is_number(column) and not _are_stamps(column)):
        return None
    try:
        order = pl.Series(time_order(column, field))
    except EncodingError:
        return None
    times = order.set(order == NO_TIME, None)
    return None if times.null_count() > MISSING * len(times) or times.n_unique() < 2 else times


def _are_stamps(column: pl.Series) -> bool:
    """Tell whether a column holds numbers that are times of these years in one unit since 1970."""
    if not (column.dtype.is_numeric() or column.dtype in TEXTS) or (unit := likely_unit(column)) is None:
        return False
    stamps = as_numbers(column) * SCALES[unit]
    low, high = stamps.quantile(0.01), stamps.quantile(0.99)
    return isinstance(low, float) and isinstance(high, float) and YEARS[0] <= low and high <= YEARS[1]


def _belongs(times: pl.Series, ids: pl.Series) -> bool:
    """Tell whether a time is an attribute of an id: nearly all ids of several rows have one time only."""
    if REQUESTS & set(words_of(ids.name)):
        return False
    rows = (
        pl.DataFrame({"id": unnamed(ids), "time": times})
        .drop_nulls()
        .group_by("id")
        .agg(pl.len(), pl.col("time").n_unique())
    )
    several = rows.filter(pl.col("len") > 1)
    return several.height > 0 and bool((several["time"] == 1).sum() >= CONSTANT * several.height)
