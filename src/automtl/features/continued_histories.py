"""Histories that go on from the state of a saved model over a later log. N rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from automtl.features.histories import Histories, HistoryInputs
from automtl.features.history_plan import moments_of
from automtl.features.vocabulary import FIRST, MISSING, UNKNOWN, Vocabulary
from automtl.histories.rows import Rows
from automtl.tables.values.times import NO_TIME

Vocabularies = Mapping[str, Vocabulary]


@dataclass(frozen=True)
class ContinuedHistories:
    """Histories with a state, and a later log, (N,), whose rows have inputs by the state and by their own earlier rows.

    `earlier`: the vocabularies by which the state has the ids of its events. It takes the place of `FittedHistories`
    where the plan of the histories stays as it is.
    """

    histories: Histories
    log: pl.DataFrame
    earlier: Vocabularies
    _found: dict[tuple[int, ...], HistoryInputs] = field(default_factory=dict, compare=False)

    @staticmethod
    def fits(histories: Histories, log: pl.DataFrame) -> bool:
        """Tell whether no row of a log is older than the newest event of the state, which must not be frozen."""
        times = moments_of(log, histories.schema)
        return not histories.plan.frozen and not bool(((times != NO_TIME) & (times < histories.state.newest)).any())

    def completed(self, vocabularies: Vocabularies) -> Histories:
        """Return the histories with the state at the end of the log, whose events have ids of these vocabularies."""
        return self._numbered(vocabularies).updated(self.log, vocabularies)[0]

    def inputs(self, vocabularies: Vocabularies, part: slice) -> HistoryInputs:
        """Return the inputs of some rows of the log."""
        names = () if self.histories.plan.sequence is None else self.histories.items
        key = tuple(id(vocabularies[name]) for name in names)
        if key not in self._found:
            self._found.clear()
            self._found[key] = self._numbered(vocabularies).of(self.log, vocabularies)
        return self._found[key].take(part)

    def _numbered(self, vocabularies: Vocabularies) -> Histories:
        """Return the histories whose state has its events by the ids of these vocabularies."""
        if self.histories.plan.sequence is None:
            return self.histories
        ids = [renumbered(self.earlier[name], vocabularies[name]) for name in self.histories.items]
        state = self.histories.state
        pending, recent = (_with_ids(rows, ids) for rows in (state.pending, state.recent))
        return replace(self.histories, state=replace(state, pending=pending, recent=recent))


def renumbered(earlier: Vocabulary, later: Vocabulary) -> np.ndarray:
    """Return the later id of each earlier id, (V,) int32: a value that is no longer known, or hashed, is unknown."""
    ids = np.full(len(earlier), UNKNOWN, np.int32)
    ids[MISSING] = MISSING
    ids[FIRST : FIRST + earlier.values.len()] = later.encode(earlier.values)
    return ids


def _with_ids(rows: Rows, ids: list[np.ndarray]) -> Rows:
    if rows.items is None:
        return rows
    return replace(rows, items=np.stack([new.take(old) for new, old in zip(ids, rows.items, strict=True)]))
