"""The part `history` of a schema: what may be written, what is refused, and what comes back."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
import yaml

from automtl.errors import SchemaError
from automtl.tables import history
from automtl.tables.history import History, SequenceHistory, read_delays
from automtl.tables.schema import Schema

FIELDS = [
    {"name": "user", "kind": "categorical"},
    {"name": "item", "kind": "categorical"},
    {"name": "length", "kind": "numeric"},
    {"name": "tags", "kind": "multi"},
]
TASKS = [{"name": "click"}, {"name": "buy"}]
WHOLE = """
keys: [user, [user, item]]
label_delay: {click: 0s, watched: 1d}
half_lives: [1h, 1d]
last: 2
session: 45m
frozen: true
max_keys: 1000
sequence: {key: user, fields: [item, user], length: 10}
unit: ms
"""


def schema_of(entry: Any, **others: Any) -> Schema:
    return Schema.from_dict({"fields": FIELDS, "tasks": TASKS, "time": "at", "history": entry, **others})


def test_every_entry_is_read() -> None:
    found = schema_of(yaml.safe_load(WHOLE), outcomes=["watched"]).history
    sequence = SequenceHistory("user", ("item", "user"), 10)
    delays = {"click": 0.0, "watched": 86_400.0}
    assert found == History(
        (("user",), ("user", "item")), delays, (3600.0, 86_400.0), 2, 2700.0, True, 1000, sequence, "ms"
    )
    assert found.delay_of("watched") == 86_400.0 and found.delay_of("buy") == 0.0


@pytest.mark.parametrize(
    ("entry", "meaning"),
    [
        (True, History()),
        (False, False),
        (None, None),
        ("frozen", History(frozen=True)),
        ({}, History()),
        ({"label_delay": "1h"}, History(label_delay=3600.0)),
        ({"label_delay": 0}, History(label_delay=0.0)),
        ({"sequence": False}, History(sequence=False)),
        ({"sequence": {"key": "user", "fields": "item"}}, History(sequence=SequenceHistory("user", ("item",)))),
    ],
)
def test_short_forms_and_the_way_back(entry: Any, meaning: Any) -> None:
    schema = schema_of(entry)
    assert schema.history == meaning and type(schema.history) is type(meaning)
    assert Schema.from_dict(yaml.safe_load(schema.text())) == schema == Schema.from_dict(schema.to_dict())


def test_a_delay_of_nothing_is_told_from_nothing_said() -> None:
    assert History().label_delay is None and History(label_delay="0s").label_delay == 0.0
    assert schema_of({"label_delay": "0s"}).to_dict()["history"]["label_delay"] == "0s"


def test_a_whole_history_comes_back_from_a_schema_file() -> None:
    schema = schema_of(yaml.safe_load(WHOLE), outcomes=["watched"])
    assert Schema.from_dict(yaml.safe_load(schema.text())) == schema


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("online", "'online' is neither true, false, frozen nor a mapping"),
        ({"kyes": []}, "history: entry 'kyes': Unexpected"),
        ({"keys": ["usr"]}, "history: key 'usr' is no field of one value; did you mean 'user'"),
        ({"keys": [["user", "tags"]]}, "history: key 'tags' is no field of one value"),
        ({"keys": [["user", "user"]]}, "names no field or one twice"),
        ({"keys": [[]]}, "names no field or one twice"),
        ({"keys": ["user", ["user"]]}, "'keys' holds a key twice"),
        ({"sequence": {"key": "user", "fields": []}}, r"fields \[\] name none or one twice"),
        ({"sequence": {"key": "user", "fields": ["length"]}}, "history: sequence 'length' is no categorical field"),
        ({"label_delay": "-1h"}, "'-1h' is no duration"),
        ({"label_delay": {"clck": "1h"}}, "'clck' is neither a task nor an outcome; did you mean 'click'"),
        ({"half_lives": ["soon"]}, "history: entry 'half_lives.0': 'soon' is no duration"),
        ({"session": -1}, "history: entry 'session': -1 is no duration"),
        ({"half_lives": ["0s"]}, "must be above 0"),
        ({"session": 0}, "must be above 0"),
        ({"last": -1}, "history: entry 'last'"),
        ({"last": 10**9}, "history: entry 'last'"),
        ({"half_lives": [1.0] * 30}, "history: entry 'half_lives'"),
        ({"sequence": {"key": "user", "fields": "item", "length": 10**9}}, "history: sequence: entry 'length'"),
        ({"max_keys": 0}, "history: entry 'max_keys'"),
        ({"sequence": {"key": "user"}}, "history: sequence: entry 'fields'"),
        ({"sequence": {"key": "user", "fields": ["tags"]}}, "history: sequence 'tags' is no categorical field"),
        ({"sequence": {"key": "user", "fields": ["item"], "length": 0}}, "history: sequence: entry 'length'"),
    ],
)
def test_a_mistake_is_named(entry: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        schema_of(entry)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"outcomes": ["item"]}, "outcome 'item' is also a field"),
        ({"outcomes": ["click"]}, "outcome 'click' is also a task"),
        ({"outcomes": ["at"]}, "outcome 'at' is also the time column"),
        ({"outcomes": ["watched", "watched"]}, "outcome 'watched' is also another outcome"),
    ],
)
def test_an_outcome_is_nothing_else(others: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        schema_of(True, **others)


def test_a_dropped_field_takes_its_keys_and_sequences_with_it() -> None:
    schema = schema_of(yaml.safe_load(WHOLE), outcomes=["watched"])
    item = schema.without(["item"]).history
    assert item and item.keys == (("user",),) and item.sequence == SequenceHistory("user", ("user",), 10)
    user = schema.without(["user"]).history
    assert user is False
    assert schema_of(False).without(["user"]).history is False and schema_of(None).without(["user"]).history is None


def test_fewer_tasks_have_fewer_delays() -> None:
    schema = schema_of({"label_delay": {"click": "1h", "buy": "1d"}}).of_tasks(["buy"])
    assert schema.task_names == ("buy",) and schema.history == History(label_delay={"buy": 86_400.0})


def test_a_star_is_for_all_that_have_no_delay_of_their_own() -> None:
    delays = History(label_delay={"*": "1h", "buy": "1d"})
    assert (delays.delay_of("click"), delays.delay_of("buy")) == (3600.0, 86_400.0)
    assert schema_of({"label_delay": {"*": "1h", "buy": "1d"}}).of_tasks(["click"]).history == History(
        label_delay={"*": 3600.0}
    )


@pytest.mark.parametrize(
    ("texts", "delays"),
    [([], None), (["1h"], "1h"), (["buy=1d"], {"buy": "1d"}), (["1h", "a=b=1d"], {"*": "1h", "a=b": "1d"})],
)
def test_delays_of_the_command_line_are_one_for_all_and_others_by_name(texts: list[str], delays: Any) -> None:
    assert read_delays(texts) == delays


@pytest.mark.parametrize("texts", [["1h", "2h"], ["buy=1h", "buy=1d"]])
def test_two_delays_of_one_outcome_are_refused(texts: list[str]) -> None:
    with pytest.raises(SchemaError, match="one is given twice"):
        read_delays(texts)


def test_examples_run() -> None:
    assert doctest.testmod(history).failed == 0
