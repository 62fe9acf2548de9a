"""The kinds of embedded fields that a network may tell apart. No other imports: descriptions of operations read it."""

from __future__ import annotations

from enum import StrEnum


class InputKind(StrEnum):
    """What a field is embedded from."""

    ID = "id"  # one id a row
    LIST = "list"  # lists of ids and sequences of events
    NUMBER = "number"  # numbers and their bins, target encodings, histories
