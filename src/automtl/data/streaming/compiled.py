"""Loops over values, compiled by numba, an extra: without temporaries, since fresh memory costs more than the work.

Import it through `loops`. Each gives what the code of numpy beside its callers gives, but for the order in which new
values get their codes. n rows, V codes, P places of a table (a power of two, at least 2 V).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types

SMALLEST = 1 << 10  # places of an empty table
BLOCK = 256  # rows whose places are touched before they are looked at
Loop = TypeVar("Loop", bound=Callable[..., Any])


def _compiled(*signatures: Any) -> Callable[[Loop], Loop]:
    """Machine code, made at the first import and kept beside this file or, where that is read-only, in the user's
    cache; threads run it side by side."""

    def made(loop: Loop) -> Loop:
        try:
            kept: Any = numba.njit([*signatures], nogil=True, cache=True)(loop)
        except RuntimeError:  # there is no place to keep it
            kept = numba.njit([*signatures], nogil=True)(loop)
        found: Loop = kept
        return found

    return made


def _given(dtype: types.Type) -> types.Array:
    """The type of (n,) numbers that are only read."""
    return types.Array(dtype, 1, "C", readonly=True)


NUMBERS, HASHES, CODES = _given(types.int64), _given(types.uint64), _given(types.int32)


@_compiled(*(types.void(counts, _given(types.uint8), CODES) for counts in (types.int32[:, ::1], types.int64[:, ::1])))
def count_rows(counts: np.ndarray, part: np.ndarray, codes: np.ndarray) -> None:
    """counts: (3, V + 1), of each split and code, to which the (n,) rows are added."""
    for row in range(len(codes)):
        counts[part[row], codes[row]] += 1


@_compiled(types.void(CODES, CODES, NUMBERS, types.int32[:, ::1], types.int64))
def take_rows(ids: np.ndarray, codes: np.ndarray, rows: np.ndarray, out: np.ndarray, column: int) -> None:
    """The ids of the codes of (n,) rows into a column of `out`, (n, C)."""
    for place in range(len(rows)):
        out[place, column] = ids[codes[rows[place]]]


@_compiled(types.int64(NUMBERS, types.int64, types.int32[::1], types.int64, types.int32[::1], types.int64[::1]))
def add_near(keys: np.ndarray, low: int, table: np.ndarray, size: int, codes: np.ndarray, rows: np.ndarray) -> int:
    """Codes of (n,) keys into `codes` by a table of the keys from `low` on; new keys get the codes after `size`.

    `rows`: where they stand. Returns how many are new.
    """
    new = 0
    for row in range(len(keys)):
        place = keys[row] - low
        code = table[place]
        if code == 0:
            rows[new] = row
            new += 1
            code = size + new
            table[place] = code
        codes[row] = code
    return new


@_compiled(types.uint64[::1](NUMBERS))
def hash_integers(keys: np.ndarray) -> np.ndarray:
    """As `automtl.data.codes.hash_integers`."""
    hashes = np.empty(len(keys), np.uint64)
    for row in range(len(keys)):
        mixed = np.uint64(keys[row])
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0xD6E8FEB86659FD93)
        mixed ^= mixed >> np.uint64(32)
        hashes[row] = mixed * np.uint64(0x9E3779B97F4A7C15)
    return hashes


class Table:
    """A hash table; as `automtl.data.codes.Codes`, without counts.

    A place is two numbers: the key, and the upper half of its hash beside the code, 0 where it is empty.
    """

    def __init__(self) -> None:
        self.size = 0
        self._places = np.zeros((SMALLEST, 2), np.int64)

    @staticmethod
    def of(keys: np.ndarray, hashes: np.ndarray) -> Table:
        """With codes 1, 2, 3 ... for keys that all differ, in this order."""
        table = Table()
        table.add(keys, hashes)
        return table

    @property
    def num_bytes(self) -> int:
        """Of the table."""
        return self._places.nbytes

    def add(self, keys: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) int32 codes of all keys, and the rows at which new ones stand, in the order of their codes."""
        codes, rows = np.empty(len(keys), np.int32), np.empty(len(keys), np.int64)
        done = new = 0
        while done < len(keys):
            if 2 * (self.size + new) == len(self._places):
                larger = np.zeros((2 * len(self._places), 2), np.int64)
                _move(self._places, larger)
                self._places = larger
            done, new, _ = _add(keys, hashes, done, new, self.size, self._places, codes, rows)
        self.size += new
        return codes, rows[:new]


@_compiled(types.uint64(types.int64))
def _shift(places: int) -> np.uint64:
    """Of a hash, which leaves the number of a place."""
    shift = 64
    while places > 1:
        places >>= 1
        shift -= 1
    return np.uint64(shift)


@_compiled(
    types.Tuple((types.int64, types.int64, types.int64))(
        NUMBERS, HASHES, types.int64, types.int64, types.int64, types.int64[:, ::1], types.int32[::1], types.int64[::1]
    )
)
def _add(
    keys: np.ndarray, hashes: np.ndarray, done: int, new: int, size: int, places: np.ndarray, codes: np.ndarray,
    rows: np.ndarray,
) -> tuple[int, int, Any]:  # fmt: skip
    """`add` from row `done` on, until all are done or half of the places are taken.

    Returns how far it came, how many are new, and a number without a meaning, for which what was touched is read.
    """
    shift, last, most = _shift(len(places)), len(places) - 1, len(places) // 2 - size
    touched = np.int64(0)
    for start in range(done, len(keys), BLOCK):
        end = min(start + BLOCK, len(keys))
        for row in range(start, end):  # the places come into the cache together, not each when it is waited for
            touched += places[np.int64(hashes[row] >> shift), 1]
        for row in range(start, end):
            place = np.int64(hashes[row] >> shift)
            while places[place, 1] != 0 and places[place, 0] != keys[row]:
                place = (place + 1) & last
            code = places[place, 1] & 0x7FFFFFFF
            if code == 0:
                if new == most:
                    return row, new, touched
                rows[new] = row
                new += 1
                code = size + new
                places[place, 0] = keys[row]
                places[place, 1] = np.int64(hashes[row] >> np.uint64(32) << np.uint64(32)) | code
            codes[row] = code
    return len(keys), new, touched


@_compiled(types.void(types.int64[:, ::1], types.int64[:, ::1]))
def _move(places: np.ndarray, larger: np.ndarray) -> None:
    """All that a table holds, to a larger, empty one."""
    shift, last = _shift(len(larger)), len(larger) - 1
    for old in range(len(places)):
        if places[old, 1] != 0:
            place = np.int64(np.uint64(places[old, 1]) >> shift)
            while larger[place, 1] != 0:
                place = (place + 1) & last
            larger[place, 0], larger[place, 1] = places[old, 0], places[old, 1]
