"""Score rows of several clients together, so that nothing of one row hangs on another. N rows, K outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from automtl.features.batch import Features
from automtl.features.encoder import Encoder
from automtl.features.vocabulary import FIRST, MISSING, Vocabulary
from automtl.predictor import Predictor
from automtl.tables.derive import simple_fields_of
from automtl.tables.schema import FieldKind
from automtl.tables.table import read_table
from automtl.training.metrics import stage_scores

Row = Mapping[str, Any]
LISTS = (FieldKind.MULTI, FieldKind.SEQUENCE)


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


def score(predictor: Predictor, rows: Sequence[Row]) -> Scored:
    """Score rows that have the columns of inputs alone. Raises an AutomtlError for a value that cannot be read."""
    batch = predictor.encode(read_table(list(rows)), labels=False)
    scores, tasks = predictor.scores(batch), predictor.schema.tasks
    outputs = {task.name: scores(place) for place, task in enumerate(tasks)} | stage_scores(scores, tasks)
    return Scored(outputs, unknown_ids(predictor.encoder, batch.features))


def unknown_ids(encoder: Encoder, features: Features) -> dict[str, np.ndarray]:
    """Find the rows with an unknown id, by the column that holds it: (N,) bool each, where there is some."""
    found = dict[str, np.ndarray]()
    categorical, lists = features.categorical.numpy(), iter(features.multi)
    column = 0
    for field in encoder.schema.fields:
        for simple in simple_fields_of(field):
            if simple.kind in LISTS:
                rows: np.ndarray = np.any(_unknown(next(lists).numpy(), encoder.vocabulary(simple)), axis=1)
            elif simple.kind is FieldKind.CATEGORICAL:
                rows = _unknown(categorical[:, column], encoder.vocabulary(simple))
                column += 1
            else:
                continue
            if field.kind is not FieldKind.TIME and rows.any():
                found[field.name] = rows
    return found


def _unknown(ids: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Tell which ids are those of no known value; hashed values are none."""
    unknown: np.ndarray = (ids < FIRST) & (ids != MISSING)
    return unknown | (ids >= FIRST + vocabulary.values.len()) if vocabulary.hashed else unknown
