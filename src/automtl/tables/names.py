"""Names of columns, and names of what is derived from columns, which no column can have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from automtl.errors import TableError

SEPARATOR = "\x1f"  # between the parts of a derived name
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # what no name of a column holds: half a character, too


def derived_name(*parts: str) -> str:
    """Return the name of something that is derived from columns, from two or more parts."""
    return SEPARATOR.join(parts)


def shown(name: str) -> str:
    """Write a name, which may be a derived one, for people.

    >>> from automtl.tables.names import derived_name, shown
    >>> shown(derived_name("ts", "hour"))
    'ts:hour'
    """
    return name.replace(SEPARATOR, ":")


def check_names(names: Sequence[str], where: str) -> None:
    """Raise TableError for a name that two columns share, or that holds a control character."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TableError(f"{where} has column '{twice[0]}' twice; rename one of them")
    for name in names:
        if CONTROL.search(name):
            raise TableError(f"{where} has column {name!r}, whose name holds a control character; rename it")


def require_same_names(first: object, names: Iterable[str], other: object, found: Iterable[str]) -> None:
    """Raise TableError that names a column which only one of two parts has."""
    if single := sorted(set(names) ^ set(found)):
        raise TableError(f"'{other}' and '{first}' differ in column '{single[0]}'; give parts of the same columns")
