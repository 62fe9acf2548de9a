"""The values of comparison.json: each candidate's results over seeds, and which differences are more than noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

import numpy as np

from automtl.comparison.candidates import CandidateResult
from automtl.comparison.result_store import Result, ResultStore
from automtl.comparison.significance import ScoredRows, overall_sentence, significance
from automtl.config import Settings
from automtl.tables.schema import Schema, Task, TaskKind


@dataclass(frozen=True)
class Comparison:
    """Results of all candidates. `settings`: without changes of a candidate; `header`: plain values of what was run."""

    settings: Settings
    schema: Schema
    header: Result
    results: Sequence[CandidateResult]
    store: ResultStore

    @cached_property
    def tested(self) -> list[CandidateResult]:
        """Candidates that were tested for all seeds."""
        return [result for result in self.results if result.tests and not result.failed]

    @property
    def scored(self) -> ScoredRows:
        """Test rows with the scores of all tested candidates."""
        return ScoredRows(self.store.rows(), self.store.scores, self.schema.tasks)

    def summary(self, reference: str) -> Result:
        """Return tasks, and each candidate's entry with mean and deviation over seeds; `reference`: the judged one."""
        rows = self.store.rows() if self.tested else {}
        return self.header | {
            "tasks": [_task(task, index, rows) for index, task in enumerate(self.schema.tasks)],
            "reference": reference,
            "models": {result.name: _summarized(result.entry) for result in self.results},
        }

    def judged(self, reference: str | None = None) -> Result:
        """Return the summary, and whether the reference (by default the first searched candidate) beats its rivals."""
        searched = (result.name for result in self.results if result.entry["searched"])
        name = reference or next(searched, self.results[0].name)
        found = {}
        if len(self.tested) > 1 and any(result.name == name for result in self.tested):
            found = significance(name, self.tested, self.scored)
        return self.summary(name) | {"significance": found, "sentence": overall_sentence(name, found)}


def spread(values: Iterable[Any]) -> dict[str, float | int | None]:
    """Return mean, standard deviation and number of the values that are numbers; None where there are too few."""
    known = [float(value) for value in values if not isinstance(value, Mapping)]
    mean = fmean(known) if known else None
    return {"mean": mean, "std": stdev(known) if len(known) > 1 else None, "n": len(known)}


def _summarized(entry: Result) -> Result:
    """Return the entry of a candidate with mean and standard deviation over seeds of everything that is defined."""
    tests = [seed["test"] for seed in entry["seeds"]]
    tasks = {
        task: {metric: spread(test["tasks"][task][metric] for test in tests) for metric in metrics}
        for task, metrics in (tests[0]["tasks"] if tests else {}).items()
    }
    return entry | {"summary": {"tasks": tasks, "mtl_loss": spread(test["mtl_loss"] for test in tests)}}


def _task(task: Task, index: int, rows: Mapping[str, np.ndarray]) -> Result:
    """Describe a task; `positive_rate`: on the test rows where it holds, None for regression."""
    rate = None
    if task.kind is TaskKind.BINARY and rows:
        known = rows["mask"][:, index] > 0
        rate = float(rows["labels"][known, index].mean()) if known.any() else None
    return {"name": task.name, "kind": str(task.kind), "positive_rate": rate}
