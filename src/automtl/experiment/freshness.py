"""The worth of faster data to a saved model, or to models that are fitted for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from automtl.experiment.fit import fit_table
from automtl.experiment.label_delays import DELAYS, NEVER, Curve, freshness_curve, histories_of
from automtl.experiment.recorded import RecordedFit
from automtl.predictor import Predictor
from automtl.tables.columns import check_columns
from automtl.tables.durations import as_seconds, duration_text
from automtl.tables.history import History
from automtl.tables.schema import Schema
from automtl.tables.split import split_table
from automtl.tables.table import read_table


def freshness(
    folder: Path | str, source: Any, *, delays: Sequence[str | float] = DELAYS, fitted: bool = False
) -> Curve:
    """Measure a saved model on test rows where labels arrive after each delay, and never.

    The table is the one that the model was fitted on; it is split in the same way. Each entry has the `delay`, as text,
    and the metrics by task (`tasks`): of the model as it is or, with `fitted`, of one that is fitted for the delay.
    Raises SettingsError for a model without histories.

    >>> log = automtl.synthetic_log(rows=500, seed=0).with_row_index("moment")
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}, "encoder": {"prune_histories": False}}
    >>> settings = automtl.read_settings(None, quick)
    >>> roles = automtl.ColumnRoles(time="moment")
    >>> run = automtl.fit_table(log, ["click"], roles=roles, settings=settings, out="runs/timed")
    >>> [entry["delay"] for entry in automtl.freshness("runs/timed", log, delays=["0s", "1m"])]
    ['0s', '1m', 'never']
    """
    predictor, table = Predictor.load(folder), read_table(source)
    histories_of(predictor)
    recorded = RecordedFit.read(folder)
    settings, seed = recorded.settings, recorded.seed
    check_columns(table, predictor.schema)
    wanted = [duration_text(as_seconds(delay)) for delay in delays]
    if not fitted:
        return freshness_curve(predictor, split_table(table, predictor.schema, settings.split, seed), wanted)
    schemas = {delay: _declared(predictor.schema, delay) for delay in (*wanted, NEVER)}
    runs = {delay: fit_table(table, schema=schema, settings=settings, seed=seed) for delay, schema in schemas.items()}
    return [{"delay": delay, "tasks": run.metrics["test"]["tasks"]} for delay, run in runs.items()]


def _declared(schema: Schema, delay: str) -> Schema:
    """Return the schema of a model that is to be fitted for a delay."""
    assert isinstance(schema.history, History)
    said = {"frozen": True} if delay == NEVER else {"frozen": False, "label_delay": delay}
    return replace(schema, history=replace(schema.history, **said))
