"""Hash tables in numpy map keys to codes 1, 2, 3 ..., many rows at a time.

Symbols: n rows, V keys, P places (a power of two, at least 2 V). A key is looked for from the place of its hash
onwards, until a place is empty. A whole number is its own key; a text's key is a 64-bit hash, and its place comes from
a second, independent hash. Two texts are taken for one only if both agree: among a million texts with a chance of about
1e-13.
"""

from __future__ import annotations

import numpy as np
import torch

from automtl.system.hashing import hash_integers
from automtl.system.slices import SLICE

SMALLEST = 1 << 10  # places of an empty table
WIDEST = 1 << 24  # the widest range of whole numbers that a RangeTable holds
ABSENT = 0  # the code of a key that is not in the table


def gathered(table: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Compute `table.take(places)` by torch, in a quarter less time for large tables. `places`: int32 or int64."""
    found: np.ndarray = torch.from_numpy(table).index_select(0, torch.from_numpy(places)).numpy()
    return found


class HashTable:
    """Keys and their codes, in a fixed order for a fixed order of `add`."""

    def __init__(self, expected: int = 0) -> None:
        self.size = 0
        self._keys = np.zeros(max(expected, SMALLEST) + 1, np.int64)  # by code, the first is unused
        self._hashes = np.zeros(len(self._keys), np.uint64)
        self._make_places(expected)

    @staticmethod
    def of(keys: np.ndarray, hashes: np.ndarray | None = None) -> HashTable:
        """Make a table with codes 1, 2, 3 ... for different keys, in their order."""
        hashes = hash_integers(keys) if hashes is None else hashes
        codes = HashTable(len(keys))
        codes.size = len(keys)
        codes._keys[1 : len(keys) + 1], codes._hashes[1 : len(keys) + 1] = keys, hashes
        codes._place_all()
        return codes

    @property
    def num_bytes(self) -> int:
        """Bytes of the table and of the keys."""
        parts = (self._keys, self._hashes, self._codes, self._stored)
        return sum(part.nbytes for part in parts)

    @property
    def keys(self) -> np.ndarray:
        """Keys, (V,) int64, in the order of their codes."""
        return self._keys[1 : self.size + 1]

    def find(self, keys: np.ndarray, hashes: np.ndarray | None = None) -> np.ndarray:
        """Return the codes of keys, (n,) int32, ABSENT where a key is not in the table. `hashes`: needed for texts."""
        hashes = hash_integers(keys) if hashes is None else hashes
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

    def add(self, keys: np.ndarray, hashes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes of all keys, (n,) int32, and the rows of new keys, in the order of their codes."""
        hashes = hash_integers(keys) if hashes is None else hashes
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

    def relabel(self, codes: np.ndarray) -> None:
        """Make `find` return codes[i] for the i-th key. Nothing may be added afterwards."""
        self.close()
        taken = np.flatnonzero(self._codes)
        self._codes[taken] = codes[self._codes[taken] - 1]

    def close(self) -> None:
        """Free the memory that is only needed to add keys."""
        self._keys, self._hashes = np.zeros(0, np.int64), np.zeros(0, np.uint64)

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
            self._keys, self._hashes = (_longer(array, 2 * needed + 1) for array in (self._keys, self._hashes))
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
    """Extend an array with zeros; memory that is not written yet costs nothing."""
    longer = np.zeros(size, array.dtype)
    longer[: len(array)] = array
    return longer


class RangeTable:
    """Whole numbers that lie near together and their codes, kept in an array; used like a HashTable."""

    def __init__(self) -> None:
        self.size, self._low = 0, 0
        self._codes = np.zeros(1, np.int32)  # the last one stands for all numbers outside

    @staticmethod
    def of(keys: np.ndarray, codes: np.ndarray, absent: int) -> RangeTable:
        """Make a table, to be read only, with a code for each of different keys and one for all other numbers."""
        table = RangeTable()
        table.size, table._low = len(keys), int(keys.min()) if len(keys) else 0
        table._codes = np.full(int(keys.max()) - table._low + 2 if len(keys) else 1, absent, np.int32)
        table._codes[keys - table._low] = codes
        return table

    @property
    def num_bytes(self) -> int:
        """Bytes of the array."""
        return self._codes.nbytes

    @property
    def keys(self) -> np.ndarray:
        """Keys, (V,) int64, in the order of their codes."""
        taken = np.flatnonzero(self._codes)
        keys = np.empty(self.size, np.int64)
        keys[self._codes[taken] - 1] = taken + self._low
        return keys

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Return the codes of keys, (n,) int32, ABSENT where a key is not in the table."""
        place = np.minimum(keys.view(np.uint64) - np.int64(self._low).view(np.uint64), np.uint64(len(self._codes) - 1))
        codes: np.ndarray = self._codes.take(place.view(np.int64))
        return codes

    def reach(self, keys: np.ndarray) -> bool:
        """Make room for more keys; returns False if they lie too far apart."""
        if len(keys) == 0:
            return True
        low, high, room = int(keys.min()), int(keys.max()), len(self._codes) - 1
        if room:
            low, high = min(low, self._low), max(high, self._low + room - 1)
        if high - low >= WIDEST:
            return False
        if high - low >= room:
            codes = np.zeros(min(WIDEST, max(high - low + 1, min(2 * (high - low), high - low + SLICE))) + 1, np.int32)
            start = self._low - low if room else 0
            codes[start : start + room] = self._codes[:room]
            self._low, self._codes = low, codes
        return True

    def add(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes of all keys, (n,) int32, and the rows of new keys, in the order of their codes."""
        place = keys - self._low
        found = gathered(self._codes, place)
        rows = np.flatnonzero(found == ABSENT)
        if len(rows):
            new = place.take(rows)
            claims = np.arange(1, len(rows) + 1, dtype=np.int32)
            self._codes[new] = claims  # where several rows want a place, one of them stays
            rows = rows[self._codes.take(new) == claims]
            self._codes[place.take(rows)] = np.arange(self.size + 1, self.size + len(rows) + 1, dtype=np.int32)
            self.size += len(rows)
            found = self._codes.take(place)
        return found, rows
