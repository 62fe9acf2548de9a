"""One family of errors for users: each message names the thing, where it is, and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AutomtlError(Exception):
    """A mistake in what the user gave us; the command line prints it and exits with 2."""


class TableError(AutomtlError):
    """A table cannot be read or lacks something."""


class SchemaError(AutomtlError):
    """What the columns are said to mean does not fit the table."""


class EncodingError(AutomtlError):
    """A column of a table cannot be encoded as the schema says."""


class StoreError(AutomtlError):
    """A folder of encoded rows is missing, damaged or of another version."""


class SettingsError(AutomtlError):
    """A setting is unknown or out of range."""


class SpaceError(AutomtlError):
    """A search space or an operation is not well formed."""


class ModelFolderError(AutomtlError):
    """A saved model is missing, damaged or of another version."""


class ComparisonError(AutomtlError):
    """A comparison cannot be begun, continued or written."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a message: '; did you mean ...?' if a known name is near, else the empty string."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
