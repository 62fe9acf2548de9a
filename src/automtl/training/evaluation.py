"""Predictions of a model, and its evaluation on validation rows. N rows, T tasks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from automtl.features.batch import Batch, iterate
from automtl.features.targets import Targets
from automtl.system.hardware import device_of, precision
from automtl.system.memory import keep_freed_memory, out_of_memory
from automtl.system.workers import all_rows, workers
from automtl.tables.schema import Task, TaskKind
from automtl.training.losses import MultiTaskLoss, task_means
from automtl.training.metrics import Scores, fast_auc, task_rows

PREDICT_ROWS = 2048  # a batch of prediction: its hidden units stay in cache
CARD_ROWS = 65_536  # on a card, which few rows leave idle


@dataclass(frozen=True)
class Evaluation:
    """The values of a model on the validation rows after some rows of training.

    `score`: the mean of the tasks' losses, each over that of its base rate, which are the `task_scores`. `loss`:
    MTL-Loss. `auc`: that of the binary tasks for which it is defined.
    """

    epoch: int
    rows: int
    train_loss: float
    score: float
    loss: float
    auc: dict[str, float]
    task_scores: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


class Evaluator:
    """Evaluates models on the same validation rows."""

    def __init__(self, valid: Batch, tasks: Sequence[Task], loss: MultiTaskLoss) -> None:
        self.valid, self.tasks, self.loss = replace(valid, group=None), tasks, loss
        rate = task_means(valid, lambda part, _: loss.targets(part.labels))
        base = torch.where(loss.binary, torch.logit(rate.clamp(1e-6, 1 - 1e-6)), rate)
        self.base = loss.over(base.expand_as(valid.labels), valid).clamp(min=1e-6)

    def __call__(self, model: nn.Module, epoch: int, rows: int, train_loss: float) -> Evaluation:
        """Evaluate `model`, which has been trained on so many rows with this mean loss."""
        logits = predict_logits(model, self.valid)
        losses = self.loss.over(logits, self.valid)
        scores = losses / self.base
        return Evaluation(
            epoch, rows, train_loss, float(scores @ self.loss.weights), float(losses @ self.loss.weights),
            self._auc(logits.numpy()), dict(zip([task.name for task in self.tasks], scores.tolist(), strict=True)),
        )  # fmt: skip

    def _auc(self, logits: np.ndarray) -> dict[str, float]:
        binary = [(index, task.name) for index, task in enumerate(self.tasks) if task.kind is TaskKind.BINARY]
        found = {name: fast_auc(task_rows(logits[:, index], self.valid, index)) for index, name in binary}
        return {name: value for name, value in found.items() if not math.isnan(value)}


def predict_logits(model: nn.Module, batch: Batch, products: Literal["auto", "full"] = "full") -> Tensor:
    """Predict logits (N, T) without dropout, in full precision on the processor; the model's mode is restored.

    products: the precision of products, as in the settings of training. Where memory does not suffice for so many rows
    at once, fewer are scored at a time, of which a warning tells.
    """
    rows = PREDICT_ROWS if device_of(model).type == "cpu" else CARD_ROWS
    while True:
        try:
            return _predicted(model, batch, products, rows)
        except (RuntimeError, MemoryError) as error:
            rows = min(rows, len(batch)) // 2
            if not out_of_memory(error) or not rows:
                raise
        warnings.warn(f"memory does not suffice to score more rows at once; going on with {rows:,}", stacklevel=2)


@torch.inference_mode()
def _predicted(model: nn.Module, batch: Batch, products: Literal["auto", "full"], rows: int) -> Tensor:
    """Predict logits, some rows at a time."""
    training, device = model.training, device_of(model)
    if training:  # walking all modules takes as long as a small model needs for a row
        model.eval()
    with precision(products, device), keep_freed_memory(len(batch) > rows):
        if len(batch) <= rows:
            logits: Tensor = model(batch.features.to(device)).float().cpu()
        else:
            shares = workers().several and len(batch) > PREDICT_ROWS
            own = batch.take(workers().share(len(batch))) if shares else batch
            parts = _parts(own, -(-len(batch) // (workers().count * rows))) if shares else iterate(own, rows)
            found = [model(part.features.to(device)) for part in parts]
            logits = torch.cat(found).float()
            logits = logits.cpu()
            logits = all_rows(logits, len(batch)) if shares else logits
    if training:
        model.train()
    return logits


def _parts(rows: Batch, count: int) -> Iterator[Batch]:
    """Cut rows into so many parts: a model whose table lies on all workers is run as often by each of them."""
    for index in range(count):
        yield rows.take(slice(len(rows) * index // count, len(rows) * (index + 1) // count))
        rows.release()


def to_scores(logits: Tensor, tasks: Sequence[Task]) -> np.ndarray:
    """Turn logits into probabilities (N, T) of binary tasks and values of regression tasks."""
    binary, targets = _kinds(tuple(tasks))
    values = logits.double()
    if binary.all():
        return values.sigmoid().numpy()
    scores: np.ndarray = torch.where(binary, values.sigmoid(), targets.inverse(values)).numpy()
    return scores


@lru_cache(maxsize=64)
def _kinds(tasks: tuple[Task, ...]) -> tuple[Tensor, Targets]:
    """Return which tasks are binary, (T,), and what turns predictions into values."""
    return torch.tensor([task.kind is TaskKind.BINARY for task in tasks]), Targets(tasks)


def scores_of(logits: Tensor, tasks: Sequence[Task]) -> Scores:
    """Make a function to the scores of one task, which takes less memory than all together."""
    if len(logits) <= PREDICT_ROWS:
        every = np.ascontiguousarray(to_scores(logits, tasks).T)
        return lambda index: every[index]
    return lambda index: to_scores(logits[:, index : index + 1], tasks[index : index + 1])[:, 0]
