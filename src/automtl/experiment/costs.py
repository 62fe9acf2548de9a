"""Costs of a model: its parameters, the operations and the latency of a row, and the seconds of its fit by stage."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from automtl.ensemble.cost import flops_per_row
from automtl.experiment.library import ENSEMBLE
from automtl.experiment.source import Source, TableSource
from automtl.features.batch import Batch
from automtl.models.network import count_parameters
from automtl.predictor import Predictor
from automtl.system.stopwatch import REST, current_stopwatch
from automtl.system.threads import one_thread
from automtl.system.workers import first_does
from automtl.tables.roles import TableRoles
from automtl.training.latency import row_latency_ms

WARM_CALLS, CALLS = 3, 20  # fewer together than make a predictor trace its networks
MOST_SECONDS, LEAST_CALLS = 0.3, 5
REPORT, TOTAL = "report", "total"


def costs_of(predictor: Predictor, valid: Batch, source: Source, board: Sequence[Any] = ()) -> dict[str, Any]:
    """Describe the costs of a model in plain values, for `metrics.json`.

    `latency_ms`: the milliseconds of one `encoded_row`, the networks and trees alone, and of one `raw_row` through the
    whole of `Predictor.predict_rows`, which is None where there is no table of raw rows. `board`: a leaderboard, which
    may know the first already.
    """
    members, rows = predictor.spec.members, valid.for_layout(predictor.encoder.layout)
    name = ENSEMBLE if len(members) > 1 else members[0].name
    known = next((row["latency_ms"] for row in board if row["name"] == name), None)
    encoded = row_latency_ms(predictor.network, rows) if known is None else known
    return {
        "parameters": count_parameters(predictor.network),
        "flops_per_row": flops_per_row(predictor.network, rows),
        "latency_ms": {"encoded_row": encoded, "raw_row": first_does(lambda: raw_row_ms(predictor, source))},
    }


def raw_row_ms(predictor: Predictor, source: Source) -> float | None:
    """Measure the median milliseconds in which a predictor scores one raw row, in one thread.

    The row is the newest one of the table, since histories go on from its end. None for a prepared table.
    """
    if not isinstance(source, TableSource):
        return None
    newest, found = source.rows.height - 1, list[float]()
    if source.schema.time is not None:
        newest = int(TableRoles(source.rows, source.schema).array("time").argmax())
    row = source.rows[newest].to_dicts()
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a single row has not
        for place in range(WARM_CALLS + CALLS):
            start = time.perf_counter()
            predictor.predict_rows(row, allow_unknown=True)
            found.append((time.perf_counter() - start) * 1000)
            if place >= WARM_CALLS + LEAST_CALLS and sum(found) > MOST_SECONDS * 1000:
                break
    return statistics.median(found[WARM_CALLS:])


def note_seconds(metrics: dict[str, Any]) -> None:
    """Note the seconds of all stages until now in the content of `metrics.json`, and their `total`.

    Does nothing where no stopwatch runs, as when a run is saved again.
    """
    watch = current_stopwatch()
    if watch is not None:
        stages: Mapping[str, float] = watch.seconds()
        last = {REST: stages[REST], TOTAL: sum(stages.values())}
        metrics["seconds"] = {name: spent for name, spent in stages.items() if spent and name != REST} | last


def note_report(metrics: dict[str, Any]) -> None:
    """Note the seconds since `note_seconds` as those of the report, which itself shows what was noted before."""
    watch, noted = current_stopwatch(), metrics.get("seconds") or {}
    if watch is not None and TOTAL in noted:
        total = sum(watch.seconds().values())
        stages = {name: spent for name, spent in noted.items() if name not in (REST, TOTAL)}
        last = {REPORT: total - noted[TOTAL], REST: noted[REST], TOTAL: total}
        metrics["seconds"] = stages | last
