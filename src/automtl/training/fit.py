"""The one training loop. B rows of a batch, T tasks."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from automtl.features.batch import Batch, Features, iterate
from automtl.system.denormal import ignore_denormals
from automtl.system.hardware import device_of, find_device, precision
from automtl.system.memory import keep_freed_memory
from automtl.system.progress import Callback, Progress, ignore
from automtl.system.randomness import seeded
from automtl.tables.schema import Task
from automtl.training.balancing import find_balancing
from automtl.training.evaluation import Evaluation, Evaluator
from automtl.training.hooks import HasMembers
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings
from automtl.training.updates import Updates, updating


@dataclass(frozen=True)
class FitResult:
    """The evaluations of a training, the index of the best one, and seconds; the model holds the best weights."""

    evaluations: tuple[Evaluation, ...]
    best: int
    seconds: float

    @property
    def score(self) -> float:
        """The normalised validation loss of the best evaluation; smaller is better."""
        return self.evaluations[self.best].score


class SelfTrained(nn.Module, ABC):
    """A model that gradients do not train, such as boosted trees: `fit` calls its own `learn`."""

    @abstractmethod
    def learn(self, train: Batch, valid: Batch, seed: int, callback: Callback, stage: str) -> list[float]:
        """Learn, deterministically by `seed`, and return each task's loss on the training rows."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """The count of learned numbers."""


def fit(
    model: nn.Module, train: Batch, valid: Batch, tasks: Sequence[Task], settings: TrainingSettings, seed: int,
    callback: Callback = ignore, stage: str = "training",
) -> FitResult:  # fmt: skip
    """Train `model` (features -> logits (B, T)) and leave it with the weights that were best on validation rows.

    It is trained on the device of the settings, and left on the processor. Raises SettingsError.
    """
    start = time.perf_counter()
    with ignore_denormals(), keep_freed_memory(), seeded(seed):
        evaluate = Evaluator(valid, tasks, MultiTaskLoss(tasks))
        if isinstance(model, SelfTrained):
            losses = torch.tensor(model.learn(train, valid, seed, callback, stage), dtype=torch.float32)
            found, best = [evaluate(model, 0, len(train), float(losses @ evaluate.loss.weights))], 0
        else:
            found, best = _descend(model, train, evaluate, settings, seed, callback, stage)
    return FitResult(tuple(found), best, time.perf_counter() - start)


def _descend(
    model: nn.Module, train: Batch, evaluate: Evaluator, settings: TrainingSettings, seed: int,
    callback: Callback, stage: str,
) -> tuple[list[Evaluation], int]:  # fmt: skip
    """Train by gradients until the epochs or the patience end; return the evaluations and the index of the best."""
    model.to(find_device(settings.device))
    found: list[Evaluation] = []
    best, weights = 0, {}
    loss = MultiTaskLoss(evaluate.tasks, sampled=True)
    with updating(model, train, settings) as updates:
        for epoch, rows, train_loss in _train(model, train, loss, updates, settings, seed):
            with updates.averaging.in_place():
                found.append(evaluate(model, epoch, rows, train_loss))
                if len(found) == 1 or found[-1].score < found[best].score:
                    best = len(found) - 1
                    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
            last = found[-1]
            callback(Progress(stage, last.rows, settings.epochs * len(train), last.loss, last.auc))
            if len(found) - 1 - best >= settings.patience:
                break
    model.load_state_dict(weights)
    model.eval().cpu()
    return found, best


def _train(
    model: nn.Module, train: Batch, loss: MultiTaskLoss, updates: Updates, settings: TrainingSettings, seed: int
) -> Iterator[tuple[int, int, float]]:
    """Yield epoch, rows so far and mean training loss since the last time, whenever an evaluation is due."""
    generator, device = torch.Generator().manual_seed(seed), device_of(model)
    loss.to(device)
    losses_of = _losses(model, loss, settings, device)
    balancing = find_balancing(settings, model, loss.weights)
    rows = 0
    for epoch in range(settings.epochs):
        start, end = rows, rows + len(train)
        due, total, steps = start + settings.evaluate_every, torch.zeros_like(loss.weights), 0
        model.train()
        for batch in iterate(train, settings.batch_size, generator):
            again = partial(losses_of, batch if device.type == "cpu" else batch.to(device))
            losses = again()
            updates.step(balancing.total(losses))
            balancing.after_step(again)
            total += losses.detach()
            steps, rows = steps + 1, rows + len(batch)
            if due <= rows < end - settings.evaluate_every // 2:
                yield epoch, rows, float(total @ loss.weights) / steps
                due, total, steps = rows + settings.evaluate_every, torch.zeros_like(loss.weights), 0
        balancing.after_epoch()
        yield epoch, rows, float(total @ loss.weights) / max(steps, 1)


def _losses(
    model: nn.Module, loss: MultiTaskLoss, settings: TrainingSettings, device: torch.device
) -> Callable[[Batch], Tensor]:
    """Make a function from a batch to its losses (T,), in the precision of the settings."""
    called: Callable[[Features], Tensor] = model.member_logits if isinstance(model, HasMembers) else model
    run = torch.compile(called) if settings.compile else called
    numbers = precision(settings.precision, device)

    def losses(batch: Batch) -> Tensor:
        with numbers:
            logits = run(batch.features)
        return loss.per_task(logits.float(), batch)

    return losses
