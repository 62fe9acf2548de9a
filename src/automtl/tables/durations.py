"""Durations in seconds, which texts such as 1h and 500ms stand for."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from automtl.errors import SchemaError, brief

SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}  # of a unit
NAMES = {"min": "m", "day": "d", "days": "d", "hour": "h", "hours": "h", "sec": "s"}
LONGEST = 50 * 365 * SECONDS["d"]  # in microseconds, 4096 of it fit into 64 bits (histories/decay.py)
TEXT = re.compile(r"\s*((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)\s*")


def as_seconds(value: Any) -> float:
    """Read a duration: a number of seconds, or a text of a number and a unit (d, h, m, s, ms, us).

    Raises SchemaError for anything else, and for a duration below 0 or above 50 years.

    >>> as_seconds("1.5h"), as_seconds(20), as_seconds("500ms")
    (5400.0, 20.0, 0.5)
    """
    seconds = _seconds(value)
    if seconds is None:
        raise SchemaError(f"{brief(value)} is no duration; write 0s, 90s, 30m, 1h or 2d, or a number of seconds")
    if seconds > LONGEST:
        raise SchemaError(f"{brief(value)} is longer than 50 years; give a shorter duration")
    return float(seconds)


def _seconds(value: Any) -> float | None:
    """Read a duration; None if it is none."""
    found = TEXT.fullmatch(value.lower()) if isinstance(value, str) else None
    if found is not None and (size := SECONDS.get(NAMES.get(found[2], found[2] or "s"))) is not None:
        return float(found[1]) * size
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
    return value if number else None


def duration_text(seconds: float) -> str:
    """Write a duration in the largest unit of which it is a whole number, so that `as_seconds` reads it back.

    >>> duration_text(5400.0), duration_text(0.5), duration_text(0.0)
    ('90m', '500ms', '0s')
    """
    for unit, size in SECONDS.items():
        number = round(seconds / size)
        if number > 0 and float(number) * size == seconds:
            return f"{number}{unit}"
    return f"{seconds!r}s" if seconds else "0s"


def entry_as_seconds(value: Any) -> float:
    """Read a duration in an entry, whose place pydantic adds. Raises ValueError."""
    try:
        return as_seconds(value)
    except SchemaError as error:
        raise ValueError(str(error)) from None


Seconds = Annotated[float, BeforeValidator(entry_as_seconds), PlainSerializer(duration_text, when_used="json")]
