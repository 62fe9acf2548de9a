"""Checks of forms and times name each risk, and are quiet where nothing can go wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from automtl.tables.quality.base import Audit, Finding
from automtl.tables.quality.forms import (
    codes_read_as_missing,
    forms_of_one_value,
    leading_zeros,
    nearly_alike_texts,
    rounded_numbers,
)
from automtl.tables.quality.times import rows_without_time_or_group, times_without_zone, unlikely_times
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.tables.split import Split


def audit(columns: dict[str, list[Any]], kind: FieldKind, roles: dict[str, str] | None = None, **options: Any) -> Audit:
    table = pl.DataFrame(columns, strict=False)
    fields = tuple(Field(name, kind, **options) for name in columns)
    return Audit.of(Split(table, table, table), Schema(fields, (Task("click"),), **(roles or {})), 0)


def of_ids(check: Any, values: list[Any], **options: Any) -> list[Finding]:
    return list(check(audit({"x": values}, FieldKind.CATEGORICAL, **options)))


@pytest.mark.parametrize(
    ("check", "values", "evidence"),
    [
        (leading_zeros, ["007", "7", "a", "007"], "has leading zeros in 50 % of 4 rows, such as '007'"),
        (forms_of_one_value, ["2", "2.0", "2", "a"],
         "holds '2' and '2.0', which are read as one value, in 25 % of 4 rows"),
        (forms_of_one_value, ["true", "1", "1", "b"],
         "holds '1' and 'true', which are read as one value, in 25 % of 4 rows"),
        (nearly_alike_texts, ["Ulm", "ulm ", "Ulm", "Bonn"],
         "holds 'Ulm' and 'ulm ', which differ in blanks or case only, in 25 % of 4 rows"),
        (codes_read_as_missing, ["DE", "FR", "NA", "US", "ZA", "IT"],
         "is 'NA' in 16.7 % of 6 rows, among codes such as 'DE'"),
    ],
)  # fmt: skip
def test_forms_are_shown_with_their_share(check: Any, values: list[Any], evidence: str) -> None:
    (found,) = of_ids(check, values)
    assert (found.column, found.level, found.evidence) == ("x", "note", evidence)


@pytest.mark.parametrize(
    ("check", "values", "options"),
    [
        (leading_zeros, ["0", "7", "0.5", None], {}),
        (leading_zeros, [0, 7], {}),
        (forms_of_one_value, ["2", "2a", "2.5", None], {}),
        (nearly_alike_texts, ["true", "True", "b"], {}),
        (nearly_alike_texts, ["Ulm", "ulm "], {"text": ("strip", "lower")}),
        (codes_read_as_missing, ["yes", "no", "NA", "maybe", "never", "often"], {}),
        (codes_read_as_missing, ["DE", "NA", "FR"], {}),
        (rounded_numbers, [1e300, 0.5], {}),
        (rounded_numbers, [2.0**53 - 1, float("inf"), float("nan")], {}),
    ],
)
def test_honest_forms_are_no_findings(check: Any, values: list[Any], options: dict[str, Any]) -> None:
    assert of_ids(check, values, **options) == []


def test_numbers_that_may_have_been_rounded_are_found_in_both_types_of_floats() -> None:
    (found,) = of_ids(rounded_numbers, [2.0**53, 1.0])
    assert found.evidence == "holds 9007199254740992 as Float64, and 9007199254740992 or more in 50 % of 2 rows"
    given = audit({"x": [2.0**24, 1.0]}, FieldKind.NUMERIC)
    given.train.replace_column(0, given.train["x"].cast(pl.Float32))
    (found,) = rounded_numbers(given)
    assert found.evidence.startswith("holds 16777216 as Float32")


def test_times_without_a_zone_are_told_with_a_column_that_has_one() -> None:
    local, aware = datetime(2024, 1, 31, 12, 30), datetime(2024, 1, 31, 12, tzinfo=UTC)
    (found,) = times_without_zone(audit({"at": [local]}, FieldKind.TIME))
    assert found.evidence == "holds times without a zone, such as 2024-01-31 12:30:00"
    both = audit({"at": ["2024-01-31 12:30"]}, FieldKind.TIME)
    fields = (*both.schema.fields, Field("sent", FieldKind.TIME, zone="UTC"))
    train = both.train.with_columns(sent=pl.Series([aware]))
    (found,) = times_without_zone(Audit(Schema(fields, both.schema.tasks), both.split, train, train, train))
    assert found.evidence.endswith(", 'sent' has one (UTC)") and found.value == 1
    assert not list(times_without_zone(audit({"at": ["2024-01-31"]}, FieldKind.TIME)))
    assert not list(times_without_zone(audit({"at": [1_700_000_000]}, FieldKind.TIME, unit="s")))


def test_times_that_cannot_be_true_are_found() -> None:
    (found,) = unlikely_times(audit({"at": ["0001-01-01", "2024-01-31", None]}, FieldKind.TIME))
    assert found.evidence == "is no time of 1971 to 2199 in 33.3 % of 3 rows, such as 0001-01-01 00:00:00"
    assert not list(unlikely_times(audit({"at": ["1971-01-01", "2199-12-31"]}, FieldKind.TIME)))


def test_rows_without_time_or_group_are_counted_in_every_form_of_missing() -> None:
    columns = {"user": ["a", "NA", None, "b"], "at": [1.0, float("nan"), 2.0, 3.0]}
    found = list(rows_without_time_or_group(audit(columns, FieldKind.CATEGORICAL, {"group": "user", "time": "at"})))
    assert [(one.check, one.column, one.value) for one in found] == [("no group", "user", 0.5), ("no time", "at", 0.25)]
    whole = {"user": ["a"], "at": [1.0]}
    assert not list(rows_without_time_or_group(audit(whole, FieldKind.CATEGORICAL, {"group": "user", "time": "at"})))
