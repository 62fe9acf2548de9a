"""The steps of a fit: test metrics after each, and its gain over the step before, with an interval.

N test rows, T tasks, S steps, B draws.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from automtl.experiment.library import ENSEMBLE, INPUTS, SEARCH, TRAINING, Library, TrainedModel
from automtl.features.batch import Batch
from automtl.tables.schema import Task
from automtl.training.bootstrap import Interval, drawn_units, main_metric_of_draws, paired_bootstrap
from automtl.training.evaluation import scores_of
from automtl.training.metrics import Rows, Undefined, Value, plain, primary_metric, task_rows

DRAWS = 1000
LEAST_DRAWS = 200
WORK = 400_000_000  # scores of a task that all draws together read, as long as there are LEAST_DRAWS

Step = tuple[str, str, Tensor]  # name, what it adds, and logits (N, T) after it


def library_steps(library: Library, logits: Sequence[Tensor]) -> list[Step]:
    """Return the steps that a fit took: the best model on validation rows of those that had come by then.

    logits: (N, T) of each model on test rows. First comes a small network on the columns of the row alone, then what
    target encodings, histories, the search and the ensemble add. A step that was not taken is absent.
    """
    models = list(zip(library.models, logits, strict=True))
    small = [one for one in models if one[0].stage == INPUTS]
    networks = [one for one in models if one[0].stage in (INPUTS, SEARCH, TRAINING)]
    without_history = [one for one in small if library.encoder_of(one[0]).histories is None]
    on_the_row = [one for one in without_history if not library.encoder_of(one[0]).target_encodings]
    taken = (
        ("base network", "a small network on the columns of the row", on_the_row),
        ("inputs", "target encodings or other settings", without_history),
        ("histories", "what the log knows of earlier rows", small if library.encoder.histories else []),
        ("search", "the best network of the search", networks),
    )
    steps: list[Step] = []
    last: TrainedModel | None = None
    for name, what, some in taken:
        best = min(some, key=lambda one: one[0].result.score, default=None)
        if best is not None and best[0] is not last:
            last = best[0]
            steps.append((name, f"{what}: {last.spec.name}", best[1]))
    if len(library.selected) > 1:
        steps.append((ENSEMBLE, f"{len(library.selected)} models together", library.mixed(logits)))
    return steps


def waterfall(steps: Sequence[Step], test: Batch, tasks: Sequence[Task], seed: int = 0) -> dict[str, Any]:
    """Describe the steps of a fit in plain values, for `metrics.json`; their logits are of the same test rows.

    Returns `{"steps": [...]}`, each with its `name`, `what` it adds, the main metric by task after it (`test`), and by
    task its `gain` over the step before, above 0 where it is better: the `mean`, and as `low` and `high` the middle
    95 % of a paired bootstrap over test rows, or over users where there is a group column. The first step has no gain;
    nor has a task whose metric has no value.
    """
    scored = [scores_of(logits, tasks) for *_, logits in steps]
    values: list[dict[str, Any]] = [{} for _ in steps]
    gains: list[dict[str, Any]] = [{} for _ in steps]
    units = drawn_units(len(test), None if test.group is None else test.group.numpy())
    for index, task in enumerate(tasks):
        rows = [task_rows(scores(index), test, index) for scores in scored]
        found = [primary_metric(task)(one) for one in rows]
        for step, value in zip(values, found, strict=True):
            step[task.name] = plain(value)
        for step, gain in zip(gains[1:], _gains(task, rows, found, units[test.mask[:, index].numpy() > 0], seed)):
            step[task.name] = gain
    return {
        "steps": [
            {"name": name, "what": what, "test": test_values, "gain": gain if place else None}
            for place, ((name, what, _), test_values, gain) in enumerate(zip(steps, values, gains, strict=True))
        ]
    }


def _gains(
    task: Task, rows: Sequence[Rows], values: Sequence[Value], units: np.ndarray, seed: int
) -> list[dict[str, float]]:
    """Return the gain of each step but the first on one task; nothing where a step has no value."""
    known = [value for value in values if not isinstance(value, Undefined)]
    if len(known) < len(values):
        return []
    draws = _draws(task, rows, units, seed)
    gains = []
    for place in range(1, len(known)):
        gain = primary_metric(task).gain
        interval = Interval.of(np.array([gain(*pair) for pair in draws[:, [place, place - 1]]]))
        ends = {} if interval is None else {"low": interval.low, "high": interval.high}
        gains.append({"mean": gain(known[place], known[place - 1]), **ends})
    return gains


def _draws(task: Task, rows: Sequence[Rows], units: np.ndarray, seed: int) -> np.ndarray:
    """Return the main metric of each step on the same draws of rows or users, (B, S)."""
    statistics = [main_metric_of_draws(task, one.labels, one.scores, one.weights, units) for one in rows]
    draws = min(DRAWS, max(LEAST_DRAWS, WORK // (len(units) * len(rows))))
    threads = os.cpu_count() or 1
    return paired_bootstrap(statistics, int(units.max()) + 1, draws=draws, seed=seed, threads=threads)
