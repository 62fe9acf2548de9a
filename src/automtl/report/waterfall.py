"""The gains of the steps of a fit, as a table and as drawings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automtl.report.charts import Stair, stairs
from automtl.report.picture import Picture
from automtl.report.words import METRIC_NAMES, clean, known, main_metric, rounded, signed, slug
from automtl.tables.schema import TaskKind
from automtl.training.metrics import KIND_METRICS

Step = Mapping[str, Any]


@dataclass(frozen=True)
class StepRow:
    """A row of the table: the step, what it adds, and by task the test metric and the gain with its interval."""

    name: str
    what: str
    cells: list[tuple[str, str]]


def waterfall_table(steps: Sequence[Step], tasks: Sequence[str]) -> list[StepRow]:
    """Make a row for each step."""
    return [StepRow(step["name"], step["what"], [_cell(step, task) for task in tasks]) for step in steps]


def _cell(step: Step, task: str) -> tuple[str, str]:
    """Write the metric, and the gain with its interval, which is empty where there is none."""
    value, gain = rounded(step["test"].get(task)), (step["gain"] or {}).get(task)
    if gain is None:
        return value, ""
    return value, signed(gain["mean"]) + (
        f" ({signed(gain['low'])} to {signed(gain['high'])})" if "low" in gain else ""
    )


def waterfall_pictures(steps: Sequence[Step], tasks: Sequence[Mapping[str, Any]]) -> Iterator[Picture]:
    """Draw the steps of each task whose metric has a value after each of them. `tasks`: those of the schema."""
    for index, task in enumerate(tasks):
        name, kind = task["name"], task.get("kind", "binary")
        if all(known(step["test"].get(name)) for step in steps):
            rows = list(_stairs(steps, name, KIND_METRICS[TaskKind(kind)].primary.gain(1, 0)))
            words = ", ".join(" ".join([clean(step["name"]), *_cell(step, name)]).strip() for step in steps)
            figure = stairs(rows, f"{METRIC_NAMES[main_metric(kind)]} on test rows")
            yield Picture(f"waterfall-{slug(index, name)}", clean(name), f"{words}.", figure)


def _stairs(steps: Sequence[Step], task: str, sign: float) -> Iterator[Stair]:
    """Yield the steps of one task. `sign`: 1 where a larger value is better, else -1."""
    before = steps[0]["test"][task]
    for step in steps:
        value, gain = step["test"][task], (step["gain"] or {}).get(task)
        if gain is None:
            yield Stair(step["name"], value, before)
        elif "low" in gain:
            low, high = sorted(before + sign * gain[end] for end in ("low", "high"))
            yield Stair(step["name"], value, before, gain["mean"], (low, high), gain["low"] > 0 or gain["high"] < 0)
        else:
            yield Stair(step["name"], value, before, gain["mean"])
        before = value
