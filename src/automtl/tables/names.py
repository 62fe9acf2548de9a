"""Names of columns, and names of what is derived from columns, which no column can have."""

from __future__ import annotations

import re

SEPARATOR = "\x1f"  # between the parts of a derived name; columns with control characters in their names are refused
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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
