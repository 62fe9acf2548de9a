"""The styles of drawings as classes of their page, whose policy forbids style attributes."""

from __future__ import annotations

import re

PLAIN = re.compile(r"[^<>{}@\\/]*")  # what declarations of drawings are made of: nothing ends a rule or an element


class StyleSheet:
    """Gives each kind of declarations a class of its own, in the order in which they are met.

    >>> from automtl.report.style_sheet import StyleSheet
    >>> sheet = StyleSheet()
    >>> sheet.class_of("fill: none"), sheet.text()
    ('drawn-1', '.drawn-1 { fill: none }')
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def class_of(self, declarations: str) -> str:
        """Return the class of declarations. Raises ValueError for what is more than declarations."""
        if not PLAIN.fullmatch(declarations):
            raise ValueError(f"{declarations!r} is no list of declarations")
        return self.names.setdefault(declarations, f"drawn-{len(self.names) + 1}")

    def text(self) -> str:
        """Return the rules of all classes."""
        return "\n".join(f".{name} {{ {declarations} }}" for declarations, name in self.names.items())
