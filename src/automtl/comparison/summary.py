"""comparison.json: what each model reached over seeds, and what of the difference is more than noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np

from automtl.comparison.candidates import BLENDED_CONTROLS
from automtl.comparison.protocol import Finish
from automtl.comparison.result_store import Record, Records
from automtl.comparison.significance import Entrant, judge, overall
from automtl.tables.schema import Schema, Task, TaskKind


def assemble(
    header: Record, finishes: Sequence[Finish], reference: str | None, records: Records, schema: Schema
) -> Record:
    """Plain values for comparison.json. `reference`: the model that is held against the others."""
    name = reference or next((finish.name for finish in finishes if finish.searched), finishes[0].name)
    able = entrants(finishes)
    verdicts = {}
    if len(able) > 1 and any(entrant.name == name for entrant in able):
        verdicts = judge(name, able, records.rows(), records.scores, schema.tasks)
    judged = {"verdicts": verdicts, "sentence": overall(name, verdicts)}
    return unjudged(header, finishes, name, records, schema) | judged


def unjudged(header: Record, finishes: Sequence[Finish], reference: str, records: Records, schema: Schema) -> Record:
    """The same without verdicts."""
    rows = records.rows() if entrants(finishes) else {}
    return header | {
        "tasks": [_task(task, index, rows) for index, task in enumerate(schema.tasks)],
        "reference": reference,
        "models": {finish.name: summarized(finish.entry) for finish in finishes},
    }


def entrants(finishes: Sequence[Finish]) -> list[Entrant]:
    """Those that have been tested."""
    return [
        Entrant(finish.name, finish.searched or finish.name in BLENDED_CONTROLS, finish.entry, finish.tested)
        for finish in finishes
        if finish.tested and not finish.failed
    ]


def summarized(entry: Record) -> Record:
    """The entry of a model with mean and standard deviation over seeds of everything that is defined."""
    tests = [seed["test"] for seed in entry["seeds"]]
    tasks = {
        task: {metric: spread(test["tasks"][task][metric] for test in tests) for metric in tests[0]["tasks"][task]}
        for task in (tests[0]["tasks"] if tests else {})
    }
    return entry | {"summary": {"tasks": tasks, "mtl_loss": spread(test["mtl_loss"] for test in tests)}}


def spread(values: Iterable[Any]) -> dict[str, float | int | None]:
    """Of those values that are numbers; None where there are too few."""
    known = [float(value) for value in values if not isinstance(value, Mapping)]
    mean = fmean(known) if known else None
    return {"mean": mean, "std": stdev(known) if len(known) > 1 else None, "n": len(known)}


def _task(task: Task, index: int, rows: Mapping[str, np.ndarray]) -> Record:
    """`positive_rate`: of the test rows on which the task holds; None for regression."""
    rate = None
    if task.kind is TaskKind.BINARY and rows:
        known = rows["mask"][:, index] > 0
        rate = float(rows["labels"][known, index].mean()) if known.any() else None
    return {"name": task.name, "kind": str(task.kind), "positive_rate": rate}
