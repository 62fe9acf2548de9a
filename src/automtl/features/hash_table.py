"""Hash tables in numpy: keys to codes 1, 2, 3 ..., filled and read a slice of rows at a time.

No row is a Python object. Symbols: n rows of a slice, V keys, P places (a power of two, at least 2 V). A key is looked
for from the place that its hash names onwards, until a place is empty. Whole numbers are their own key; a text's key is
a 64-bit hash and its place comes from a second, independent one, so that two texts are taken for one only if both
agree: among a million texts with a chance of about 1e-13.
"""

from __future__ import annotations

import numpy as np
import torch

SMALLEST = 1 << 10  # places of an empty table
ABSENT = 0  # the code of a key that is not in the table


def gathered(table: np.ndarray, places: np.ndarray) -> np.ndarray:
    """`table.take(places)` by torch, a quarter quicker where the table is large. `places`: int32 or int64."""
    found: np.ndarray = torch.from_numpy(table).index_select(0, torch.from_numpy(places)).numpy()
    return found


class HashTable:
    """Keys and their codes, in a fixed order for a fixed order of `add`; `counts`: rows of each key so far."""

    def __init__(self, expected: int = 0) -> None:
        self.size = 0
        self.counts = np.zeros(max(expected, SMALLEST) + 1, np.int64)  # by code, the first is unused
        self._keys = np.zeros_like(self.counts)
        self._hashes = np.zeros(len(self.counts), np.uint64)
        self._make_places(expected)

    @staticmethod
    def of(keys: np.ndarray, hashes: np.ndarray) -> HashTable:
        """With codes 1, 2, 3 ... for keys that all differ, in this order."""
        codes = HashTable(len(keys))
        codes.size = len(keys)
        codes._keys[1 : len(keys) + 1], codes._hashes[1 : len(keys) + 1] = keys, hashes
        codes._place_all()
        return codes

    @property
    def num_bytes(self) -> int:
        """Of the table and of the keys."""
        parts = (self.counts, self._keys, self._hashes, self._codes, self._stored)
        return sum(part.nbytes for part in parts)

    @property
    def keys(self) -> np.ndarray:
        """(V,) int64, in the order of their codes."""
        return self._keys[1 : self.size + 1]

    def find(self, keys: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """(n,) int32 codes, ABSENT where a key is not in the table."""
        place = (hashes >> self._shift).view(np.int64)
        found = gathered(self._codes, place)
        other = np.flatnonzero((gathered(self._stored, place) != keys) & (found != ABSENT))
        here = place.take(other)
        while len(other):
            here = (here + 1) & (len(self._codes) - 1)
            code = self._codes.take(here)
            found[other] = code
            left = np.flatnonzero((self._stored.take(here) != keys.take(other)) & (code != ABSENT))
            other, here = other.take(left), here.take(left)
        return found

    def add(self, keys: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) int32 codes of all keys, and the rows at which new ones stand, in the order of their codes."""
        codes = self.find(keys, hashes)
        rows = np.flatnonzero(codes == ABSENT)
        self._reserve(len(rows))
        place = (hashes.take(rows) >> self._shift).view(np.int64)
        fresh = []
        while len(rows):
            empty = np.flatnonzero(self._codes.take(place) == ABSENT)
            claimed, claims = place.take(empty), rows.take(empty) + 1
            self._codes[claimed] = claims  # where several rows want a place, one of them stays
            stays = np.flatnonzero(self._codes.take(claimed) == claims)
            won = claims.take(stays) - 1
            self._store(keys.take(won), hashes.take(won), claimed.take(stays))
            fresh.append(won)
            same = self._stored.take(place) == keys.take(rows)
            codes[rows[same]] = self._codes.take(place[same])
            rows, place = rows[~same], (place[~same] + 1) & (len(self._codes) - 1)
        return codes, np.concatenate(fresh) if fresh else np.zeros(0, np.int64)

    def count(self, keys: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Adds one to the count of each row's key; returns what `add` does."""
        codes, fresh = self.add(keys, hashes)
        if 2 * self.size < len(codes):
            self.counts[: self.size + 1] += np.bincount(codes, minlength=self.size + 1)
        else:
            np.add.at(self.counts, codes.astype(np.int64), 1)
        return codes, fresh

    def relabel(self, codes: np.ndarray) -> None:
        """`find` returns codes[i] for the i-th key from now on. Nothing may be added afterwards."""
        taken = np.flatnonzero(self._codes)
        self._codes[taken] = codes[self._codes[taken] - 1]
        self.counts, self._keys, self._hashes = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint64)

    def _make_places(self, expected: int) -> None:
        places = max(SMALLEST, 1 << (2 * expected - 1).bit_length() if expected else 0)
        self._shift = np.uint64(64 - (places.bit_length() - 1))
        self._codes = np.zeros(places, np.int32)
        self._stored = np.zeros(places, np.int64)

    def _store(self, keys: np.ndarray, hashes: np.ndarray, places: np.ndarray) -> None:
        first = self.size + 1
        self.size += len(keys)
        self._keys[first : self.size + 1], self._hashes[first : self.size + 1] = keys, hashes
        self._stored[places] = keys
        self._codes[places] = np.arange(first, self.size + 1, dtype=np.int32)

    def _reserve(self, more: int) -> None:
        needed = self.size + more
        if needed >= len(self._keys):
            self._keys, self._hashes, self.counts = (
                _longer(array, 2 * needed + 1) for array in (self._keys, self._hashes, self.counts)
            )
        if 2 * needed > len(self._codes):
            self._make_places(2 * needed)
            self._place_all()

    def _place_all(self) -> None:
        """Put every key (all differ) into the fresh table."""
        waiting = np.arange(1, self.size + 1)
        place = (self._hashes[waiting] >> self._shift).view(np.int64)
        while len(waiting):
            empty = self._codes[place] == ABSENT
            self._codes[place[empty]] = waiting[empty]
            won = self._codes[place] == waiting
            self._stored[place[won]] = self._keys[waiting[won]]
            waiting, place = waiting[~won], (place[~won] + 1) & (len(self._codes) - 1)


def _longer(array: np.ndarray, size: int) -> np.ndarray:
    """With zeros behind; memory that is not written yet costs nothing."""
    longer = np.zeros(size, array.dtype)
    longer[: len(array)] = array
    return longer
