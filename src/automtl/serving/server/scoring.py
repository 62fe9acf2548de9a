"""Score rows of several clients together, so that nothing of one row hangs on another. N rows, C id columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from automtl.features.batch import Features
from automtl.features.encoder import Encoder
from automtl.features.vocabulary import FIRST, UNKNOWN, Vocabulary
from automtl.predictor import Predictor
from automtl.tables.derive import simple_fields_of
from automtl.tables.schema import FieldKind

Row = Mapping[str, Any]
LISTS = (FieldKind.MULTI, FieldKind.SEQUENCE)
NEVER = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Scored:
    """Scores of N rows. outputs: (N,) float64 by name; unknown: (N,) bool by column with an unknown id."""

    outputs: Mapping[str, np.ndarray]
    unknown: Mapping[str, np.ndarray]

    def take(self, rows: slice) -> Scored:
        """Return the scores of some rows."""
        unknown = {name: one[rows] for name, one in self.unknown.items()}
        kept = {name: one for name, one in unknown.items() if one.any()}
        return Scored({name: one[rows] for name, one in self.outputs.items()}, kept)

    @property
    def rows(self) -> int:
        """N, the number of rows."""
        return len(next(iter(self.outputs.values())))


@dataclass(frozen=True)
class UnknownIds:
    """Finds the rows that have an id of no known value.

    names: the field of each id column, None for parts of times; hashed: (C,) the first id of hashed values, which are
    not known either; lists: name and first hashed id of each list field.
    """

    names: tuple[str | None, ...]
    hashed: np.ndarray
    lists: tuple[tuple[str, int], ...]

    @staticmethod
    def of(encoder: Encoder) -> UnknownIds:
        """Return what finds them among the rows of an encoder."""
        names, hashed, lists = list[str | None](), list[int](), list[tuple[str, int]]()
        for field in encoder.schema.fields:
            for simple in simple_fields_of(field):
                if simple.kind in LISTS:
                    lists.append((field.name, _first_hashed(encoder.vocabulary(simple))))
                elif simple.kind is FieldKind.CATEGORICAL:
                    names.append(None if field.kind is FieldKind.TIME else field.name)
                    hashed.append(_first_hashed(encoder.vocabulary(simple)))
        return UnknownIds(tuple(names), np.array(hashed, np.int64), tuple(lists))

    def among(self, features: Features) -> dict[str, np.ndarray]:
        """Return (N,) bool for each column that has some."""
        ids = features.categorical.numpy()[:, : len(self.names)]
        unknown = (ids == UNKNOWN) | (ids >= self.hashed)
        found = {}
        for place in np.flatnonzero(unknown.any(axis=0)).tolist():
            if (name := self.names[place]) is not None:
                found[name] = unknown[:, place]
        for (name, hashed), many in zip(self.lists, features.multi, strict=False):
            lists = many.numpy()
            rows = ((lists == UNKNOWN) | (lists >= hashed)).any(axis=1)
            if rows.any():
                found[name] = rows
        return found


def _first_hashed(vocabulary: Vocabulary) -> int:
    return FIRST + vocabulary.values.len() if vocabulary.hashed else NEVER


def score(predictor: Predictor, unknown: UnknownIds, rows: Sequence[Row]) -> Scored:
    """Score rows that have the columns of inputs alone. Raises an AutomtlError for a value that cannot be read."""
    batch = predictor.encode_rows(rows)
    return Scored(predictor.columns(batch), unknown.among(batch.features))
