"""The metrics of one model where labels arrive sooner or later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from automtl.errors import SettingsError
from automtl.features.histories import Histories, HistoryInputs
from automtl.histories.plan import SECOND, Plan
from automtl.histories.rows import Rows
from automtl.predictor import Predictor
from automtl.tables.durations import as_seconds
from automtl.tables.split import Split

DELAYS = ("0s", "1m", "1h", "1d")
NEVER = "never"  # in place of a delay: all knowledge ends with the training rows
ROWS = 100_000  # test rows that are scored, at most
Curve = list[dict[str, Any]]


def freshness_curve(predictor: Predictor, split: Split, delays: Sequence[str] = DELAYS) -> Curve:
    """Encode test rows anew for each label delay, and for none at all, and return the metrics by task."""
    test = split.test
    if test.height > ROWS:
        test = test[np.sort(np.random.default_rng(0).choice(test.height, ROWS, replace=False))]
    batches = (
        (delay, predictor.encoder.encode(test, history=one)) for delay, one in _inputs(predictor, split, test, delays)
    )
    return [{"delay": delay, "tasks": predictor.evaluate_batch(batch)["tasks"]} for delay, batch in batches]


def has_histories(predictor: Predictor) -> bool:
    """Tell whether a model has inputs of histories: some may be declared, and none have paid."""
    return predictor.encoder.histories is not None and bool(predictor.encoder.histories.plan.keys)


def histories_of(predictor: Predictor) -> Histories:
    """Return the histories of a model. Raises SettingsError if it has none."""
    if predictor.encoder.histories is None or not has_histories(predictor):
        raise SettingsError("the model has no inputs of histories, so it does not matter when labels arrive")
    return predictor.encoder.histories


def _inputs(
    predictor: Predictor, split: Split, test: pl.DataFrame, delays: Sequence[str]
) -> Iterator[tuple[str, HistoryInputs]]:
    """Yield the inputs of test rows by label delay; the log is the whole table, and for `never` the training rows."""
    histories, ids = histories_of(predictor), predictor.encoder.vocabularies
    parts = [histories.rows(part, ids, happened=True) for part in (split.train, split.valid, split.test)]
    asked = histories.rows(test, ids, happened=False)
    for delay in (*delays, NEVER):
        rows = Rows.joined([*(parts[:1] if delay == NEVER else parts), asked])
        chosen = np.arange(len(rows) - len(asked), len(rows))
        yield delay, replace(histories, plan=_with_delay(histories.plan, delay)).inputs(rows, ids, None, chosen)


def _with_delay(plan: Plan, delay: str) -> Plan:
    microseconds = 0 if delay == NEVER else int(as_seconds(delay) * SECOND)
    return replace(plan, outcomes=tuple(replace(one, delay=microseconds) for one in plan.outcomes))
