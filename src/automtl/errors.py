"""One family of errors for users: each message names the thing, where it is, and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 1_000  # characters of a message


class AutomtlError(Exception):
    """A mistake in what the user gave us; the command line prints it and exits with 2.

    >>> try:
    ...     automtl.read_table("missing.parquet")
    ... except automtl.AutomtlError as error:
    ...     print(error)
    'missing.parquet' does not exist; check the path
    """

    def __str__(self) -> str:
        """Return the message as one printable line; names of columns and files may hold any characters."""
        message = super().__str__()
        if len(message) > LONGEST:  # the remedy stands at the end
            message = f"{message[: LONGEST // 2]} ... {message[5 - LONGEST // 2 :]}"
        return message if message.isprintable() else "".join(map(_printable, message))


class TableError(AutomtlError):
    """A table cannot be read or lacks something."""


class SchemaError(AutomtlError):
    """The schema, which says what columns mean, does not fit the table."""


class RowError(SchemaError):
    """A label or weight of one row is wrong. `row`: its place, from 0; `what`: the message without the row."""

    def __init__(self, row: int, what: str, remedy: str) -> None:
        super().__init__(f"{what} in row {row + 1}; {remedy}")
        self.row, self.what = row, what

    def at(self, file: object, first: int) -> SchemaError:
        """Name the file and the row in it; `first`: the place there, from 1, of the table's first row."""
        return SchemaError(f"'{file}', row {first + self.row}: {self.what}; correct the row or leave it out")


class EncodingError(AutomtlError):
    """A column of a table cannot be encoded as the schema says."""


class FileError(AutomtlError):
    """A file or folder cannot be written, or one that automtl wrote is missing, damaged or of another version."""


class StorageError(AutomtlError):
    """An address such as s3://bucket/clicks cannot be read or written."""


class SettingsError(AutomtlError):
    """A setting is unknown or out of range."""


class ArgumentError(SettingsError, ValueError):
    """An argument of `AutoMTL` is wrong; scikit-learn expects a ValueError."""


class SpaceError(AutomtlError):
    """A search space or an operation is not well formed."""


class DivergedError(AutomtlError):
    """A training or a search came to numbers that are not finite, at a lower learning rate, too."""


class WorkerError(AutomtlError):
    """One of several workers that train together cannot go on, so that none can."""


class ClusterError(AutomtlError):
    """A cluster cannot be joined, or has no room for what it is to do."""


class ComparisonError(AutomtlError):
    """A comparison cannot be begun or continued."""


class DataWarning(UserWarning):
    """The data checks found something in a table that may make a model or its metrics wrong.

    >>> import warnings
    >>> warnings.simplefilter("error", automtl.DataWarning)  # a fit then ends where data are doubtful
    """


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def brief(value: object, most: int = 100) -> str:
    """Return a value for a message, cut after so many characters.

    >>> from automtl.errors import brief
    >>> brief("text"), brief([1, 2, 3], most=8)
    ("'text'", '[1, ...]')
    """
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 4]}...{text[-1]}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a message: '; did you mean ...?' if a known name is near, else the empty string."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
