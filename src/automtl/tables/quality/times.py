"""Times that mean something else elsewhere, cannot be true or are too coarse, and rows without a time or a group."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from automtl.errors import EncodingError
from automtl.tables.quality.base import Audit, Finding, share_of
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import TEXTS, as_text, unnamed
from automtl.tables.values.times import NO_TIME, as_moments, time_order, zone_of

YEARS = (1971, 2199)
MANY = 0.1  # share of rows without a time, from which on most of what histories could know is missing
EQUAL = 0.5  # share of rows of which another row of the same user has the same time


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
    histories = " and have no histories" if schema.history else ""
    remedies = {
        "group": "such rows are left out of gauc and ndcg; give the group of all rows",
        "time": f"such rows are placed before all others{histories}; give the time of all rows",
    }
    for (role, name), rows in missing.items():
        if rows:
            share = rows / table.height
            evidence = f"is the {role} column and is missing in {share_of(table.height, share)}"
            many = role == "time" and schema.history and share > MANY
            yield Finding(f"no {role}", "warning" if many else "note", name, evidence, share, remedies[role])


def rows_of_equal_time(audit: Audit) -> Iterator[Finding]:
    """Find times that are too coarse for histories: a row does not see other rows of its user at the same time."""
    schema, table = audit.schema, audit.split.train
    history = schema.history or None
    user = history.sequence.key if history and history.sequence else schema.group
    if history is None or user is None:
        return
    rows = pl.DataFrame({"user": unnamed(table[user]), "time": unnamed(table[str(schema.time)])}).drop_nulls()
    alike = rows.height - int((rows.group_by("user", "time").len()["len"] == 1).sum())
    share = alike / max(rows.height, 1)
    if share > EQUAL:
        evidence = f"is the time of several rows of one '{user}' in {share_of(rows.height, share)}"
        remedy = "histories do not see rows of the same time; give finer times, or leave histories out (--no-history)"
        yield Finding("equal times", "note", str(schema.time), evidence, share, remedy)


def _times(audit: Audit) -> list[Field]:
    return [field for field in audit.schema.fields if field.kind is FieldKind.TIME]


def _moments(column: pl.Series, field: Field) -> pl.Series:
    """Read times; none where they cannot be read, which is told when they are encoded."""
    try:
        return as_moments(column, field)
    except EncodingError:
        return pl.Series([], dtype=pl.Datetime("us"))
