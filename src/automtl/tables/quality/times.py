"""Times that mean something else elsewhere or cannot be true, and rows without a time or a group."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from automtl.errors import EncodingError
from automtl.tables.quality.base import Audit, Finding, share_of
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import TEXTS, as_text
from automtl.tables.values.times import NO_TIME, as_moments, time_order, zone_of

YEARS = (1971, 2199)


def times_without_zone(audit: Audit) -> Iterator[Finding]:
    """Find columns of times of day without a zone, whose hours are those of whoever wrote them."""
    times = {field.name: (field, audit.train[field.name]) for field in _times(audit)}
    aware = [name for name, (_, column) in times.items() if zone_of(column) is not None]
    for name, (field, column) in times.items():
        texts = column.dtype in TEXTS and field.format is None
        if name in aware or not (texts or isinstance(column.dtype, pl.Datetime)):
            continue
        moments = _moments(column, field).drop_nulls()
        if moments.len() and bool((moments.dt.truncate("1d") != moments).any()):
            beside = f", '{aware[0]}' has one ({zone_of(times[aware[0]][1])})" if aware else ""
            evidence = f"holds times without a zone, such as {moments[0]}{beside}"
            remedy = "are all rows, now and when scoring, of one place? if not, write times with an offset"
            yield Finding("zone", "note", name, evidence, float(bool(aware)), remedy)


def unlikely_times(audit: Audit) -> Iterator[Finding]:
    """Find times before 1971 or after 2199, which marks of missing times and wrong units become."""
    for field in _times(audit):
        moments = _moments(audit.train[field.name], field)
        odd = moments.filter(~moments.dt.year().is_between(*YEARS)).drop_nulls()
        if odd.len():
            share = odd.len() / audit.train.height
            evidence = (
                f"is no time of {YEARS[0]} to {YEARS[1]} in {share_of(audit.train.height, share)}, such as {odd[0]}"
            )
            yield Finding("time range", "note", field.name, evidence, share, "make it null where the time is not known")


def rows_without_time_or_group(audit: Audit) -> Iterator[Finding]:
    """Find rows without a time, which no order holds, and rows without a group, each of which is alone."""
    table, schema = audit.train, audit.schema
    missing = {}
    if schema.group is not None:
        missing["group", schema.group] = as_text(table[schema.group]).null_count()
    if schema.time is not None:
        own = next((one for one in _times(audit) if one.name == schema.time), None)
        missing["time", schema.time] = int((time_order(table[schema.time], own) == NO_TIME).sum())
    remedies = {
        "group": "such rows are left out of gauc and ndcg; give the group of all rows",
        "time": "such rows are placed before all others; give the time of all rows",
    }
    for (role, name), rows in missing.items():
        if rows:
            share = rows / table.height
            evidence = f"is the {role} column and is missing in {share_of(table.height, share)}"
            yield Finding(f"no {role}", "note", name, evidence, share, remedies[role])


def _times(audit: Audit) -> list[Field]:
    return [field for field in audit.schema.fields if field.kind is FieldKind.TIME]


def _moments(column: pl.Series, field: Field) -> pl.Series:
    """Read times; none where they cannot be read, which is told when they are encoded."""
    try:
        return as_moments(column, field)
    except EncodingError:
        return pl.Series([], dtype=pl.Datetime("us"))
