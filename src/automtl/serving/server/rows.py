"""Check the rows of a request: each has the columns that the model reads, with ids, numbers or lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automtl.errors import suggestion
from automtl.serving.server.columns import InputColumn, Signature
from automtl.serving.server.problems import Problem
from automtl.serving.server.scoring import Row
from automtl.serving.server.settings import ServerSettings

SCALARS = frozenset((str, int, float, bool, type(None)))


@dataclass(frozen=True)
class GivenRows:
    """The rows of a request, of the model's columns alone.

    `joinable`: all values have types of which each means the same whatever other values of the column are beside it,
    so that the rows may be scored together with those of other requests. Texts that are numbers, for instance, are
    read by what all of them show of the separators.
    """

    rows: Sequence[Row]
    joinable: bool

    def __len__(self) -> int:
        return len(self.rows)


def read_rows(given: Any, signature: Signature, settings: ServerSettings) -> GivenRows:
    """Return rows of the model's columns alone, since labels would be taken for what happened. Raises Problem."""
    if not isinstance(given, list):
        raise Problem(422, 'the body has no list of rows; send {"rows": [{"column": value, ...}, ...]}')
    require_count(len(given), settings)
    return given_rows([_row(place, row, signature) for place, row in enumerate(given)], signature)


def given_rows(rows: Sequence[Row], signature: Signature) -> GivenRows:
    """Find out whether rows that have all columns may be joined with others."""
    usual = [(one.name, one.usual, one.is_list) for one in signature.inputs]
    for row in rows:
        for name, types, is_list in usual:
            value = row[name]
            if type(value) is list and is_list:
                if not {*map(type, value)} <= types:
                    return GivenRows(rows, False)
            elif type(value) not in types or (is_list and value is not None):
                return GivenRows(rows, False)
    return GivenRows(rows, True)


def require_count(rows: int, settings: ServerSettings) -> None:
    """Raise Problem for no rows, or too many."""
    if rows == 0:
        raise Problem(422, "there are no rows; send at least one")
    if rows > settings.max_rows:
        raise Problem(413, f"{rows} rows are more than {settings.max_rows}; send them in several requests")


def _row(place: int, row: Any, signature: Signature) -> Row:
    if not isinstance(row, dict):
        raise Problem(422, f"row {place} is no object; send the values of a row by column")
    found = {}
    for column in signature.inputs:
        name = column.name
        if name in row:
            found[name] = value = row[name]
            if type(value) not in SCALARS:
                _require_list(value, column, f"row {place}")
        elif column.optional:
            found[name] = None
        else:
            raise Problem(422, _missing(name, f"row {place}", row))
    return found


def _missing(name: str, where: str, known: Mapping[str, Any]) -> str:
    hint = suggestion(name, [str(one) for one in known])
    return f"{where} lacks column '{name}'{hint}; give it, with null where there is no value"


def _require_list(value: Any, column: InputColumn, where: str) -> None:
    """Raise Problem for a value that is neither one value nor, where the column has lists, a list of them."""
    if not isinstance(value, list):
        raise Problem(422, f"{where}: column '{column.name}' is an object; give a value")
    if not column.is_list:
        raise Problem(422, f"{where}: column '{column.name}' is a list; give one value")
    if any(type(one) not in SCALARS for one in value):
        raise Problem(422, f"{where}: column '{column.name}' is no list of plain values; give ids")


def rows_of_columns(columns: Mapping[str, Sequence[Any]], rows: int, signature: Signature) -> GivenRows:
    """Turn columns into rows. Raises Problem for a column that is missing or that the model does not read."""
    names = [one.name for one in signature.inputs]
    for name in columns:
        if name not in names:
            raise Problem(422, f"there is no input '{name}'{suggestion(name, names)}; leave it out")
    for name in signature.required:
        if name not in columns:
            raise Problem(422, _missing(name, "the request", columns))
    absent = [None] * rows
    values = zip(*(columns.get(name, absent) for name in names), strict=True)
    return given_rows([dict(zip(names, one, strict=True)) for one in values], signature)
