"""The rows that one task's booster learns from. N rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from automtl.features.batch import Batch
from automtl.tables.schema import Task

REPORT_ROUNDS = 10  # rounds between two reports of progress
UNCHECKED_ROUNDS = 100  # most rounds where a task has no validation rows, which end the training elsewhere


class Selectable(Protocol):
    """Rows of which a mask, (N,) bool, selects some."""

    def __getitem__(self, keep: Any, /) -> Any:
        """Return the selected rows."""


Inputs = TypeVar("Inputs", bound=Selectable)


@dataclass(frozen=True)
class Examples(Generic[Inputs]):
    """Rows of one task. inputs: N rows as a library of trees reads them; labels, weights: (N,) float32."""

    inputs: Inputs
    labels: np.ndarray
    weights: np.ndarray

    @staticmethod
    def of(inputs: Inputs, batch: Batch, task: int) -> Examples[Inputs]:
        """Select the rows that have a label of the task and a weight above 0."""
        keep = (batch.mask[:, task].numpy() > 0) & (batch.weight.numpy() > 0)
        everything = bool(keep.all())
        return Examples(
            inputs if everything else inputs[keep],
            np.ascontiguousarray(batch.labels[:, task].numpy()[keep]),
            np.ascontiguousarray(batch.weight.numpy()[keep]),
        )

    def none(self) -> Examples[Inputs]:
        """Return the same inputs without a label, from which nothing is learned."""
        return replace(self, labels=self.labels[:0], weights=self.weights[:0])

    def with_positive_weight(self, task: Task) -> Examples[Inputs]:
        """Multiply the weights of positives by the task's `positive_weight`."""
        if task.positive_weight is None:
            return self
        factor = np.where(self.labels > 0, task.positive_weight, 1.0).astype(np.float32)
        return replace(self, weights=self.weights * factor)
