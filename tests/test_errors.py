"""Messages of errors."""

from __future__ import annotations

import doctest

import pytest

from automtl import errors
from automtl.errors import LONGEST, AutomtlError, RowError, SchemaError, brief


def test_a_message_is_one_printable_line() -> None:
    message = str(SchemaError("column 'a\nb\x1b[2J\u202e\ud800é': rename it"))
    assert message == r"column 'a\nb\x1b[2J\u202e\ud800é': rename it"
    assert message.isprintable() and message.encode()


def test_a_long_message_keeps_its_beginning_and_its_remedy() -> None:
    message = str(AutomtlError(f"column '{'a' * 9999}': rename it"))
    assert len(message) == LONGEST and message.startswith("column 'aa") and message.endswith("': rename it")
    assert len(brief("a" * 9999)) == 100


def test_a_row_is_counted_from_one() -> None:
    assert str(RowError(0, "label 3", "give 0 or 1")) == "label 3 in row 1; give 0 or 1"


@pytest.mark.parametrize("value", [None, "text", [1], {"a": float("nan")}])
def test_short_values_are_shown_whole(value: object) -> None:
    assert brief(value) == repr(value)


def test_examples_run() -> None:
    assert doctest.testmod(errors, extraglobs={"automtl": __import__("automtl")}).failed == 0
