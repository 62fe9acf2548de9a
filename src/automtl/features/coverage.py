"""Coverage: how many values of each input are missing or unknown in some rows. Counts of rows may be added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from automtl.features.vocabulary import FIRST, MISSING, Vocabulary

MOST = 1 << 62  # rows or values that are counted


@dataclass(frozen=True)
class Counts:
    """Counts of one field: `missing` rows have no value; of all `values`, the `unknown` ones have no id of their own.

    A row has one value at most, but any number in a list. Hashed ids are unknown; numbers and times never are.
    """

    rows: int = 0
    missing: int = 0
    values: int = 0
    unknown: int = 0

    @staticmethod
    def of_ids(ids: np.ndarray, vocabulary: Vocabulary) -> Counts:
        """Count (n,) ids of the vocabulary, one a row."""
        least = ids.min(initial=FIRST)  # mostly there is nothing more to count
        missing = int(np.count_nonzero(ids == MISSING)) if least == MISSING else 0
        unknown = int(np.count_nonzero(ids < FIRST)) - missing if least < FIRST else 0
        if vocabulary.hashed:
            unknown += int(np.count_nonzero(ids >= FIRST + vocabulary.values.len()))
        return Counts(len(ids), missing, len(ids) - missing, unknown)

    @staticmethod
    def of_lists(ids: np.ndarray, sizes: np.ndarray, vocabulary: Vocabulary) -> Counts:
        """Count the ids of all rows one after another; sizes: (n,), how many each row has."""
        own = Counts.of_ids(ids, vocabulary)
        return Counts(len(sizes), int(np.count_nonzero(sizes == 0)), own.values, own.unknown)

    @staticmethod
    def of_numbers(missing: np.ndarray) -> Counts:
        """Count numbers; missing: (n,), which of them are absent."""
        absent = int(np.count_nonzero(missing))
        return Counts(len(missing), absent, len(missing) - absent)

    @property
    def missing_share(self) -> float:
        """Share of the rows that have no value; 0 without rows."""
        return self.missing / max(self.rows, 1)

    @property
    def unknown_share(self) -> float:
        """Share of the values that are unknown; 0 without values."""
        return self.unknown / max(self.values, 1)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.rows + other.rows, self.missing + other.missing, self.values + other.values,
            self.unknown + other.unknown,
        )  # fmt: skip


@dataclass(frozen=True)
class Coverage:
    """The counts of some rows, by the name of the schema's field. Coverage of further rows may be added.

    >>> one, other = ({"user": Counts(rows=2, missing=0, values=2, unknown=unknown)} for unknown in (2, 0))
    >>> (Coverage(one) + Coverage(other)).fields["user"].unknown_share
    0.5
    """

    fields: Mapping[str, Counts] = field(default_factory=dict)

    def __add__(self, other: Coverage) -> Coverage:
        names = dict.fromkeys([*self.fields, *other.fields])
        return Coverage({name: self.of(name) + other.of(name) for name in names})

    def of(self, name: str) -> Counts:
        """Return the counts of a field; zeros where nothing was counted."""
        return self.fields.get(name, Counts())

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return plain values, which `from_dict` reads."""
        return {name: asdict(counts) for name, counts in self.fields.items()}

    @staticmethod
    def from_dict(values: Mapping[str, Mapping[str, Any]]) -> Coverage:
        """Build the coverage that `to_dict` described. Raises ValueError for what is no count."""
        for name, counts in values.items():
            if any(type(count) is not int or not 0 <= count <= MOST for count in counts.values()):
                raise ValueError(f"the counts of '{name}' are {counts}"[:200])
        return Coverage({name: Counts(**counts) for name, counts in values.items()})
