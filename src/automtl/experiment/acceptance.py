"""Whether a refitted model may replace the present one, by the newest rows. N rows, T tasks, U units, B draws.

Losses are compared on the same draws of rows, or of users where there is a group column (paired bootstrap).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automtl.features.batch import Batch
from automtl.tables.schema import Task, TaskKind
from automtl.training.bootstrap import Interval, drawn_units, paired_bootstrap
from automtl.training.losses import MultiTaskLoss, task_means
from automtl.training.metrics import primary_metric

DRAWS = 1000
LEAST_DRAWS = 200
WORK = 400_000_000  # losses that all draws together read, as long as there are LEAST_DRAWS
KEPT_SKILL = 0.5  # least share of the recorded skill on a task that a refitted model must have
LEAST_SKILL = 0.01  # recorded skill below which a task is not judged by it


@dataclass(frozen=True)
class Acceptance:
    """The comparison of two models in plain values, and why the refitted one may not be taken; empty if it may be."""

    values: dict[str, Any]
    reasons: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Tell whether the refitted model may take the place of the present one."""
        return not self.reasons

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self.values | {"accepted": self.accepted, "reasons": list(self.reasons)}


def base_logits(train: Batch, tasks: Sequence[Task]) -> Tensor:
    """Return the logits, (T,), of a model that has learned nothing but each task's mean label of training rows."""
    loss = MultiTaskLoss(tasks)
    rate = task_means(train, lambda part, _: loss.targets(part.labels))
    return torch.where(loss.binary, torch.logit(rate.clamp(1e-6, 1 - 1e-6)), rate)


def judge(
    present: Tensor, refit: Tensor, base: Tensor, test: Batch, tasks: Sequence[Task], seed: int,
    skills: Mapping[str, float], steps: Sequence[Mapping[str, Any]],
) -> Acceptance:  # fmt: skip
    """Compare logits (N, T) of both models on the same rows. base: (T,), see `base_logits`; steps: what
    `waterfall` tells of the main metrics of both.

    A refitted model is not accepted if its MTL-Loss or the loss of a task is worse by more than noise (the middle 95 %
    of the draws are on one side of 0), or if it has learned nothing: if its MTL-Loss is not better than that of `base`
    by more than noise, or if its skill on a task, one less its loss over that of `base`, is surely below half of that
    which the present model had at its own fit (`skills`, by task). Where labels are spoiled, those of the newest rows
    are, too, and losses alone do not tell.
    """
    units = drawn_units(len(test), None if test.group is None else test.group.numpy())
    loss = MultiTaskLoss(tasks)
    sums, weights = _sums(loss, (present, refit, base.expand_as(refit)), test, units)
    draws = _draws(sums, weights, seed)  # (B, 3, T)
    losses = sums.sum(2) / np.maximum(weights.sum(1), 1e-12)  # (3, T)
    share = loss.weights.double().numpy()
    values = {
        "rows": len(test), "units": int(units.max()) + 1,
        "mtl_loss": _difference(losses @ share, draws @ share),
        "base": {"mtl_loss": float(losses[2] @ share)},
        "tasks": _tasks(losses, draws, tasks, steps),
    }  # fmt: skip
    return Acceptance(values, tuple(_reasons(values, draws, share, tasks, skills)))


def _sums(
    loss: MultiTaskLoss, logits: Sequence[Tensor], test: Batch, units: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum weighted losses of each model, (3, T, U), and weights, (T, U), by unit."""
    size = int(units.max()) + 1
    weight = (test.mask * test.weight.unsqueeze(1)).double().numpy()
    rows = [loss.per_row(one, test).double().numpy() * weight for one in logits]
    by_unit = partial(np.bincount, units, minlength=size)
    sums = np.array([[by_unit(column) for column in one.T] for one in rows])
    return sums, np.array([by_unit(column) for column in weight.T])


def _draws(sums: np.ndarray, weights: np.ndarray, seed: int) -> np.ndarray:
    """Return losses on the same draws of units, (B, 3, T); NaN where a draw has no row of a task."""

    def mean(model: int, task: int, counts: np.ndarray) -> float:
        weight = float(counts @ weights[task])
        return float(counts @ sums[model, task]) / weight if weight > 0 else float("nan")

    models, tasks, units = sums.shape
    statistics = [partial(mean, model, task) for model in range(models) for task in range(tasks)]
    count = min(DRAWS, max(LEAST_DRAWS, WORK // (units * len(statistics))))
    found = paired_bootstrap(statistics, units, draws=count, seed=seed, threads=os.cpu_count() or 1)
    return found.reshape(-1, models, tasks)


def _difference(losses: np.ndarray, draws: np.ndarray) -> dict[str, Any]:
    """Describe losses of the present and the refitted model; the gain is above 0 where the refitted one is better."""
    interval = Interval.of(draws[:, 0] - draws[:, 1])
    ends = {} if interval is None else {"low": interval.low, "high": interval.high}
    present, refit = float(losses[0]), float(losses[1])
    return {"present": present, "refit": refit, "gain": {"mean": present - refit, **ends}}


def _tasks(
    losses: np.ndarray, draws: np.ndarray, tasks: Sequence[Task], steps: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Describe the loss and the main metric of each task."""
    before, after = steps
    return {
        task.name: {
            "loss": _difference(losses[:, index], draws[:, :, index]),
            "metric": {
                "name": primary_metric(task).name, "present": before["test"][task.name],
                "refit": after["test"][task.name], "gain": after["gain"].get(task.name),
            },
        }
        for index, task in enumerate(tasks)
    }  # fmt: skip


def _reasons(
    values: Mapping[str, Any], draws: np.ndarray, share: np.ndarray, tasks: Sequence[Task], skills: Mapping[str, float]
) -> list[str]:
    found = []
    if values["mtl_loss"]["gain"].get("high", 0.0) < 0:
        found.append("its MTL-Loss is worse, beyond noise")
    for task in tasks:
        if values["tasks"][task.name]["loss"]["gain"].get("high", 0.0) < 0:
            found.append(f"its loss on task '{task.name}' is worse, beyond noise")
    over_base = Interval.of((draws[:, 2] - draws[:, 1]) @ share)
    if over_base is None or over_base.low <= 0:
        found.append("it has learned nothing: guessing each task's mean label is as good; are the labels right?")
        return found
    for index, task in enumerate(tasks):
        recorded, reached = skills.get(task.name, 0.0), Interval.of(1 - draws[:, 1, index] / draws[:, 2, index])
        if recorded > LEAST_SKILL and reached is not None and reached.high < KEPT_SKILL * recorded:
            found.append(
                f"it has learned little of task '{task.name}' ({reached.high:.1%} of its loss at most, the present "
                f"model {recorded:.1%} at its fit); are the labels right?"
            )
    return found


def recorded_skills(metrics: Mapping[str, Any], labels: Mapping[str, Any], tasks: Sequence[Task]) -> dict[str, float]:
    """Return by binary task which share of the loss of guessing the label rate a model saved on its own test rows.

    metrics: `test` of metrics.json; labels: `labels` of curves.json.
    """
    found = {}
    for task in tasks:
        loss = (metrics.get("tasks", {}).get(task.name) or {}).get("log_loss")
        rate = (labels.get("test", {}).get(task.name) or {}).get("mean")
        if task.kind is TaskKind.BINARY and isinstance(loss, float) and rate and 0 < rate < 1:
            entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
            found[task.name] = float(1 - loss / entropy)
    return found
