"""Columns with a role of their own: what may be given with a schema and without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from automtl.errors import AutomtlError, SchemaError
from automtl.tables.columns import ColumnRoles, check_columns, resolve_schema
from automtl.tables.history import History
from automtl.tables.schema import Schema

TABLE = pl.DataFrame(
    {
        "user": ["a", "b", "a", "c"] * 30,
        "item": [*range(60)] * 2,
        "watched": [1.5, 0.0, 2.5, 9.0] * 30,
        "note": ["x", "y", "z", "y"] * 30,
        "at": [*range(120)],
        "click": [0, 1, 1, 0] * 30,
        "buy": [0, 1, 0, 0] * 30,
    }
)
TIMED = ColumnRoles(time="at")


def resolve(roles: ColumnRoles, schema: Schema | None = None) -> Schema:
    found = resolve_schema(TABLE, () if schema else ["click", "buy"], roles, schema)
    check_columns(TABLE, found)
    return found


def test_an_outcome_is_no_field_of_an_inferred_schema() -> None:
    found = resolve(replace(TIMED, outcomes=("watched",)))
    assert found.outcomes == ("watched",) and "watched" not in found.columns


def test_an_outcome_may_be_dropped_as_well() -> None:
    assert resolve(replace(TIMED, drop=("watched",), outcomes=("watched",))).outcomes == ("watched",)


def test_a_field_of_a_schema_becomes_an_outcome_only_when_it_is_dropped() -> None:
    schema = resolve(TIMED)
    with pytest.raises(SchemaError, match="outcome 'watched' is a field of the schema.*or give --drop 'watched', too"):
        resolve(ColumnRoles(outcomes=("watched",)), schema)
    found = resolve(ColumnRoles(drop=("watched",), outcomes=("watched",)), schema)
    assert found.outcomes == ("watched",) and "watched" not in found.columns


@pytest.mark.parametrize("what", [{"drop": ("click",)}, {"outcomes": ("click",)}])
def test_a_task_is_nothing_else(what: dict[str, Any]) -> None:
    with pytest.raises(AutomtlError, match="'click' is given as a task and as (dropped|an outcome); leave one out"):
        resolve(replace(TIMED, **what))


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (ColumnRoles(label_delay="1h"), "a label delay needs a time column.*name it with --time"),
        (ColumnRoles(label_delay="0s"), "a label delay needs a time column"),
        (ColumnRoles(outcomes=("watched",)), "an outcome column needs a time column"),
        (ColumnRoles(history=True), "'history' needs a time column"),
        (ColumnRoles(time="at", outcomes=("wached",)), "outcome 'wached': no such column.*did you mean 'watched'"),
        (ColumnRoles(time="at", outcomes=("note",)), "outcome 'note': values must be numbers.*found 'x' in row 1"),
        (ColumnRoles(time="at", history=False, label_delay="1h"), "histories are turned off; leave out one"),
        (ColumnRoles(time="at", label_delay={"clck": "1h"}), "'clck' is neither a task nor an outcome"),
        (ColumnRoles(time="at", label_delay="soon"), "'soon' is no duration"),
        (ColumnRoles(time="at", label_delay={1: "1h"}), r"label delay: entry 'label_delay\."),  # type: ignore[dict-item]
    ],
)
def test_what_histories_need_is_said(roles: ColumnRoles, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        resolve(roles)


@pytest.mark.parametrize(("absent", "message"), [("at", "time column 'at'"), ("user", "field 'user'")])
def test_columns_of_a_schema_file_must_be_in_the_table(absent: str, message: str) -> None:
    schema = replace(resolve(TIMED), history=History())
    with pytest.raises(SchemaError, match=f"{message}: no such column in the table"):
        resolve_schema(TABLE.drop(absent), ["click"], ColumnRoles(), schema)


def test_a_table_without_a_time_has_no_histories() -> None:
    assert resolve(ColumnRoles()).history is False and resolve(ColumnRoles(history=False)).history is False


def test_a_label_delay_of_nothing_is_told_from_nothing_said() -> None:
    delayed = resolve(replace(TIMED, label_delay="0s")).history
    silent = resolve(replace(TIMED, history=True)).history
    assert delayed and silent and delayed.label_delay == 0.0 and silent.label_delay is None


@pytest.mark.parametrize(
    ("said", "roles", "meaning"),
    [
        (False, ColumnRoles(history=True), History()),
        (History(last=5), ColumnRoles(history=True), History(last=5)),
        (History(last=5), ColumnRoles(history="frozen"), History(last=5, frozen=True)),
        (History(last=5), ColumnRoles(label_delay="1h"), History(last=5, label_delay=3600.0)),
        (History(last=5), ColumnRoles(history=False), False),
        (None, ColumnRoles(label_delay={"*": "1h", "buy": "1d"}), History(label_delay={"*": 3600.0, "buy": 86_400.0})),
    ],
)
def test_roles_change_what_a_schema_says_of_histories(said: Any, roles: ColumnRoles, meaning: Any) -> None:
    assert roles.history_of(said) == meaning


def test_fewer_tasks_keep_their_delays_alone() -> None:
    schema = resolve(replace(TIMED, label_delay={"click": "1h", "buy": "1d"}))
    found = resolve_schema(TABLE, ["buy"], ColumnRoles(), schema).history
    assert found and found.label_delay == {"buy": 86_400.0} and found.delay_of("buy") == 86_400.0
