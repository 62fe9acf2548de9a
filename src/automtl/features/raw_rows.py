"""Rows of Python values, column by column, and what is remembered of single values. B rows, U uses of a column.

Most columns of a request hold values of one plain type, of which each means the same whatever stands beside it. What
such a value means is read once, by the readers of tables, and remembered. All other columns become a small table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import repeat
from math import isfinite
from threading import Lock
from typing import Any

import numpy as np
import polars as pl

from automtl.tables.reading.frames import from_frame
from automtl.tables.reading.joined import EXACT

Values = list[Any]
Codes = tuple[int, ...]
Key = tuple[Any, ...]  # the types of the values of a row, then the values
NUMBERS = (int, float, bool)
PLAIN = (str, *NUMBERS)  # types of values that mean the same in every column of their type
LONGEST = 256  # letters of a text that is remembered
REMEMBERED = 1 << 18  # values that all columns of a model remember together, about


class OddRows(Exception):
    """Rows that only a table can be made of, which may say what is wrong with them."""


class RawRows:
    """The rows of a request by column. Raises OddRows where they are not mappings from texts."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if not isinstance(rows, list | tuple) or not rows or not all(isinstance(row, Mapping) for row in rows):
            raise OddRows
        self.rows = rows
        self.names: dict[str, None] = dict.fromkeys(name for row in rows for name in row)
        if not all(type(name) is str for name in self.names):
            raise OddRows
        self._columns: dict[str, tuple[Values, type | None]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> tuple[Values, type | None]:
        """Return the values of a column, None where absent, and their type, or None if they have not one plain type.

        Whole numbers and others are floats together. A column without a value has the type of None.
        """
        found = self._columns.get(name)
        if found is None:
            values = [row.get(name) for row in self.rows]
            found = self._columns[name] = values, plain_type(values)
        return found

    def frame(self, names: Sequence[str], places: Sequence[int] | None = None) -> pl.DataFrame:
        """Make a table of some columns, of all rows or of those at some places."""
        columns = {name: self.column(name)[0] for name in names}
        if places is not None:
            columns = {name: [values[place] for place in places] for name, values in columns.items()}
        return from_frame(columns)

    def check_unused(self, used: set[str]) -> None:
        """Raise OddRows where a column that nothing reads may be one that no table can have."""
        for name in self.names:
            if name in used:
                continue
            values, kind = self.column(name)
            if kind is None or not name.isprintable() or (kind is str and not all(map(_is_plain_text, values))):
                from_frame({name: values})


def _is_plain_text(value: str | None) -> bool:
    return value is None or value.isascii()


def plain_type(values: Values) -> type | None:
    """Return the one plain type of the values that are not None; see `RawRows.column`."""
    kinds = {type(values[0])} if len(values) == 1 else set(map(type, values))
    if len(kinds) > 1:
        kinds.discard(type(None))
        if kinds == {int, float} and all(abs(one) < EXACT for one in values if type(one) is int):
            return float
    (kind, *others) = kinds
    return kind if not others and (kind in PLAIN or kind is type(None)) else None


def plain_floats(
    rows: RawRows, names: Sequence[str], odd: Callable[[str], np.ndarray], columns: Collection[str]
) -> np.ndarray:
    """Return numbers, (B, N), NaN where missing or not finite.

    odd: returns the numbers, (B,), of a name that is none of the `columns`, or whose values have not one type of
    numbers.
    """
    found = np.empty((len(rows), len(names)))
    for place, name in enumerate(names):
        values, kind = rows.column(name) if name in columns else ([], None)
        if kind in (float, bool) or (kind is int and all(-EXACT < (one or 0) < EXACT for one in values)):
            found[:, place] = values
        else:
            found[:, place] = odd(name)
    found[~np.isfinite(found)] = np.nan
    return found


class Memo:
    """Remembers the codes that a reader gives to values of one column, or to those of several columns together.

    `read`: returns the codes, (n, U) int64, of n rows of a table of these columns. `kinds`: plain types of which a
    value must have the same codes beside any others of its type; values of further types are read every time. Threads
    may share a memo: it is never seen half changed, and when more than `most` values are new, the older ones go.
    """

    def __init__(
        self, names: tuple[str, ...], read: Callable[[pl.DataFrame], np.ndarray], kinds: Sequence[type], most: int
    ) -> None:
        self.names, self.read, self.most = names, read, most
        self.kinds = {*kinds, type(None)} if kinds else set()
        self._new: dict[Key, Codes] = {}
        self._old: dict[Key, Codes] = {}
        self._lock = Lock()

    def codes(self, rows: RawRows) -> Sequence[Codes]:
        """Return the codes of the rows."""
        columns = [rows.column(name) for name in self.names]
        kinds = tuple(kind for _, kind in columns)
        if not self.kinds.issuperset(kinds):
            return list(map(tuple, self.read(rows.frame(self.names)).tolist()))
        keys = list(zip(repeat(kinds), *(values for values, _ in columns), strict=False))
        found = [self._new.get(key) for key in keys]
        if None in found:
            self._complete(found, keys, rows)
        return found  # type: ignore[return-value]

    def _complete(self, found: list[Codes | None], keys: list[Key], rows: RawRows) -> None:
        """Fill in codes that are not among the new ones: older ones, and those that are read now."""
        missed = {place: self._old.get(keys[place]) for place, codes in enumerate(found) if codes is None}
        unknown = [place for place, codes in missed.items() if codes is None]
        read = self.read(rows.frame(self.names, unknown)).tolist() if unknown else []
        missed.update(zip(unknown, map(tuple, read), strict=True))
        for place, codes in missed.items():
            found[place] = codes
        kept = {keys[place]: codes for place, codes in missed.items() if codes is not None and _is_kept(keys[place])}
        with self._lock:
            if len(self._new) + len(kept) > self.most:
                self._old, self._new = self._new, {}
            if len(kept) <= self.most:
                self._new.update(kept)


def _is_kept(key: Key) -> bool:
    """Tell whether values are remembered: no long texts, and no NaN, which is not equal to itself."""
    return all(
        len(part) <= LONGEST if isinstance(part, str) else not isinstance(part, float) or isfinite(part)
        for part in key[1:]
    )
