"""Texts of plain values."""

from __future__ import annotations

import doctest
import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from automtl.system import plain
from automtl.system.plain import plain_values

BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(9))


@pytest.mark.parametrize(
    ("text", "parse", "message"),
    [
        ("[" * 100_000, json.loads, "nested too deep"),
        ("[" * 3000, yaml.safe_load, "nested too deep"),
        ("a = " + "[" * 100 + "]" * 100, tomllib.loads, "nested too deep"),
        ("&a [*a]", yaml.safe_load, "nested too deep"),
        (BOMB, yaml.safe_load, "holds more than 1,000,000 values"),
        ("a: 2024-13-45", yaml.safe_load, "month must be in 1..12"),
        ("!!timestamp x", yaml.safe_load, "groupdict"),
        ("!!int ''", yaml.safe_load, "index out of range"),
        ("? [a]\n: b", yaml.safe_load, "while constructing a mapping"),
        ("{", json.loads, "Expecting property name"),
    ],
)
def test_what_cannot_be_read_is_one_error_of_one_line(text: str, parse: Callable[[str], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as found:
        plain_values(text, parse)
    assert len(str(found.value).splitlines()) == 1


def test_aliases_are_read() -> None:
    assert plain_values("a: &a {b: 1}\nc: *a", yaml.safe_load) == {"a": {"b": 1}, "c": {"b": 1}}


def test_examples_run() -> None:
    assert doctest.testmod(plain).failed == 0
