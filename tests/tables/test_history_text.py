"""Histories in words."""

from __future__ import annotations

from typing import Any

import pytest

from automtl.system.progress import Event, Notice
from automtl.tables.columns import ColumnRoles
from automtl.tables.history_text import history_lines, tell_history
from automtl.tables.schema import Schema


def schema_of(history: Any) -> Schema:
    fields = [{"name": "user", "kind": "categorical"}, {"name": "item", "kind": "categorical"}]
    values = {"fields": fields, "tasks": [{"name": "click"}, {"name": "buy"}], "time": "at", "outcomes": ["watched"]}
    return Schema.from_dict(values | {"history": history})


WHOLE = {"keys": ["user", ["user", "item"]], "sequence": {"key": "user", "fields": ["item"]}, "unit": "ms"}


def test_each_part_has_a_line() -> None:
    assert history_lines(schema_of(WHOLE | {"frozen": True, "label_delay": "1h"}), inferred=True) == [
        "time column: at (milliseconds; inferred)",
        "histories of user, user + item",
        "sequence of the last 20 events of user: item",
        "outcome columns: watched",
        "frozen: nothing is learned from rows after the training rows",
        "labels known after 1h",
    ]


@pytest.mark.parametrize(
    ("delay", "text"),
    [
        (None, "at once (nothing was said; --label-delay 1h would say after one hour)"),
        ("0s", "at once"),
        ("90s", "after 90s"),
        ({"*": "1h", "buy": "1d"}, "after 1d (buy), 1h (others)"),
        ({"buy": "1d"}, "after 1d (buy), 0s (others)"),
    ],
)
def test_label_delays_are_told_and_so_is_that_nothing_was_said(delay: Any, text: str) -> None:
    assert history_lines(schema_of({"label_delay": delay}), inferred=False)[-1] == f"labels known {text}"


def test_a_table_without_histories_says_nothing() -> None:
    events: list[Event] = []
    tell_history(events.append, schema_of(False), ColumnRoles(), None)
    assert history_lines(schema_of(False), inferred=True) == events == []


def test_a_time_column_that_nobody_named_is_inferred() -> None:
    events: list[Any] = []
    schema = schema_of(WHOLE)
    for roles, given in [(ColumnRoles(), None), (ColumnRoles(time="at"), None), (ColumnRoles(), schema)]:
        tell_history(events.append, schema, roles, given)
    assert ["inferred" in event.text for event in events] == [True, False, False]
    assert all(isinstance(event, Notice) and "\n" not in event.text for event in events)
