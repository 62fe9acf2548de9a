"""Check the names of columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from automtl.errors import TableError

CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_names(names: Sequence[str], where: str) -> None:
    """Raise TableError for a name that two columns share, or that holds a control character."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TableError(f"{where} has column '{twice[0]}' twice; rename one of them")
    for name in names:
        if CONTROL.search(name):
            raise TableError(f"{where} has column {name!r}, whose name holds a control character; rename it")


def require_same_names(first: Path, names: Iterable[str], path: Path, found: Iterable[str]) -> None:
    """Raise TableError that names a column which only one of two parts has."""
    if other := sorted(set(names) ^ set(found)):
        raise TableError(f"'{path}' and '{first}' differ in column '{other[0]}'; give parts of the same columns")
