"""The targets that a model learns in place of labels: quantities cut to a range, logged and standardized. T tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from automtl.features.chunk import sliced
from automtl.features.scaler import Moments
from automtl.tables.roles import Chunk, training
from automtl.tables.schema import Task, TaskKind

LARGEST = 80.0  # of a predicted logarithm


class Targets(nn.Module):
    """Turns labels (N, T) into targets and back, in float64; metrics are of the labels as they are in the table.

    Targets are float32: what a quantity loses there is of the order of 1e-7 standard deviations, however large it is.
    """

    logged: Tensor
    low: Tensor
    high: Tensor
    center: Tensor
    scale: Tensor

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.changes = any(task.kind is TaskKind.REGRESSION for task in tasks)
        ranges = [task.clip or ((0.0 if task.transform else -torch.inf), torch.inf) for task in tasks]
        parts = {"low": [low for low, _ in ranges], "high": [high for _, high in ranges]}
        parts |= {"center": [task.center or 0.0 for task in tasks], "scale": [task.scale or 1.0 for task in tasks]}
        self.register_buffer("logged", torch.tensor([task.transform == "log1p" for task in tasks]), persistent=False)
        for name, values in parts.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        if not self.changes:
            return labels
        return ((self.unscaled(labels) - self.center) / self.scale).float()

    def unscaled(self, labels: Tensor) -> Tensor:
        """Cut labels and take logarithms, which comes before targets are standardized; (N, T) float64."""
        cut = labels.double().clamp(self.low, self.high)
        return torch.where(self.logged, cut.clamp(min=0).log1p(), cut)

    def inverse(self, values: Tensor) -> Tensor:
        """Turn predicted targets into predicted labels, (N, T) float64, within the range that labels were cut to."""
        if not self.changes:
            return values
        found = values.double() * self.scale + self.center
        unlogged = torch.where(self.logged, found.clamp(max=LARGEST).expm1(), found)
        return unlogged.clamp(self.low, self.high)


def standardized_tasks(chunks: Sequence[Chunk], tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Return tasks with their `center` and `scale`: where a quantity lacks them, those of its training rows.

    They are the mean and the standard deviation of its targets before, whatever the rows weigh; equal ones have the
    scale 1. chunks: rows whose `labels` and `mask` are those of the tasks.
    """
    return tuple(
        _standardized(task, partial(_targets, chunks, task, place)) if task.kind is TaskKind.REGRESSION else task
        for place, task in enumerate(tasks)
    )


def _standardized(task: Task, parts: Callable[[], Iterator[np.ndarray]]) -> Task:
    if task.center is not None and task.scale is not None:
        return task
    with np.errstate(over="ignore", invalid="ignore"):  # of third powers, which are not used, and of huge labels
        found = sum(map(Moments.of, sliced(parts())), Moments())
    usual = 0 < found.std < math.inf
    return replace(
        task,
        center=task.center if task.center is not None else found.mean if usual else 0.0,
        scale=task.scale if task.scale is not None else found.std if usual else 1.0,
    )


def _targets(chunks: Sequence[Chunk], task: Task, place: int) -> Iterator[np.ndarray]:
    """Yield the targets, before they are standardized, of the training rows of each chunk that have a label."""
    targets = Targets([task])
    for chunk in chunks:
        labels, mask = (training(chunk, chunk.array(name))[:, place] for name in ("labels", "mask"))
        own = torch.from_numpy(np.ascontiguousarray(labels[mask > 0], np.float64))
        yield targets.unscaled(own.unsqueeze(1)).squeeze(1).numpy()
