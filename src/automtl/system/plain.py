"""Texts of YAML, TOML or JSON become plain values of bounded size, or an error that says what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LARGEST = 1_000_000  # values in a file, each one as often as aliases repeat it
DEEPEST = 50  # lists and mappings within each other


def plain_values(text: str, parse: Callable[[str], Any]) -> Any:
    """Parse a text. Raises ValueError, of one line, for whatever is wrong with it.

    Values that aliases repeat without end, or so often that nobody could hold them, are wrong, too.

    >>> from json import loads
    >>> from automtl.system.plain import plain_values
    >>> plain_values('{"a": [1, 2]}', loads)
    {'a': [1, 2]}
    """
    try:
        values = parse(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except Exception as error:  # such as PyYAML's own, and those of Python for a date that is none
        raise ValueError(_first_line(error)) from None
    _check_size(values)
    return values


def _check_size(values: Any) -> None:
    """Raise ValueError for values that are nested too deep or too many."""
    left, count = [(values, 0)], 0
    while left:
        value, depth = left.pop()
        count += 1
        if depth > DEEPEST or count > LARGEST:
            raise ValueError("it is nested too deep" if depth > DEEPEST else f"it holds more than {LARGEST:,} values")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
        left.extend((one, depth + 1) for one in inner)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else f"it is not well formed ({type(error).__name__})"
