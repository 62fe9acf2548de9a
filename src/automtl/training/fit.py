"""The one training loop. B rows of a batch, T tasks."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from automtl.features.batch import Batch, Features, iterate
from automtl.system.deadline import current_deadline
from automtl.system.denormal import ignore_denormals
from automtl.system.hardware import device_of, find_device, precision
from automtl.system.memory import keep_freed_memory
from automtl.system.progress import Callback, Progress, ignore
from automtl.system.randomness import RandomStream, seeded
from automtl.tables.schema import Task
from automtl.training.balancing import find_balancing
from automtl.training.best_weights import BestWeights
from automtl.training.evaluation import Evaluation, Evaluator
from automtl.training.hooks import HasMembers, HasPenalty
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
    with keep_freed_memory():
        if isinstance(model, SelfTrained):
            return _learn(model, train, valid, tasks, seed, callback, stage)
        training = Training(model, train, valid, tasks, settings, seed, callback, stage)
        while training.advance() is not None:
            pass
        return training.finish()


def _learn(
    model: SelfTrained, train: Batch, valid: Batch, tasks: Sequence[Task], seed: int, callback: Callback, stage: str
) -> FitResult:
    """Let a model train itself, and evaluate it."""
    start, evaluate = time.perf_counter(), Evaluator(valid, tasks, MultiTaskLoss(tasks))
    with ignore_denormals(), seeded(seed):
        losses = torch.tensor(model.learn(train, valid, seed, callback, stage), dtype=torch.float32)
        found = evaluate(model, 0, len(train), float(losses @ evaluate.loss.weights))
    return FitResult((found,), 0, time.perf_counter() - start)


class Training:
    """The training of a model by gradients, which may pause after each of its evaluations on validation rows.

    It ends after the epochs of the settings, after `patience` evaluations without a better one, or where the current
    deadline passes. `finish` ends it, too, and leaves the model with its best weights. Independent parts of a model are
    each best at an evaluation of their own.
    """

    def __init__(
        self, model: nn.Module, train: Batch, valid: Batch, tasks: Sequence[Task], settings: TrainingSettings,
        seed: int, callback: Callback = ignore, stage: str = "training",
    ) -> None:  # fmt: skip
        self.model, self.train, self.settings, self.seed = model, train, settings, seed
        self.callback, self.stage = callback, stage
        self.evaluate = Evaluator(valid, tasks, MultiTaskLoss(tasks))
        self.evaluations: list[Evaluation] = []
        self.kept, self.seconds = BestWeights(model, self.evaluate.loss.weights), 0.0
        self.random, self.work = RandomStream(seed), self._work()

    def advance(self) -> Evaluation | None:
        """Train until the next evaluation, and return it; None where the training has ended."""
        start = time.perf_counter()
        with ignore_denormals(), self.random.drawing():
            found = next(self.work, None)
        self.seconds += time.perf_counter() - start
        return found

    @property
    def best(self) -> int:
        """Index of the best evaluation so far."""
        return min(range(len(self.evaluations)), key=lambda place: self.evaluations[place].score)

    def finish(self) -> FitResult:
        """End the training. The model is left with its best weights, on the processor.

        Where its parts were best at different evaluations, one more evaluates them together.
        """
        self.work.close()
        self.kept.restore()
        self.model.eval().cpu()
        best = self.kept.best
        if best is None:
            last, best = self.evaluations[-1], len(self.evaluations)
            self.evaluations.append(self.evaluate(self.model, last.epoch, last.rows, last.train_loss))
        return FitResult(tuple(self.evaluations), best, self.seconds)

    def _work(self) -> Generator[Evaluation]:
        model, settings = self.model.to(find_device(self.settings.device)), self.settings
        loss = MultiTaskLoss(self.evaluate.tasks, sampled=True)
        if isinstance(model, HasPenalty):
            model.look(self.train)
        with updating(model, self.train, settings) as updates:
            for epoch, rows, train_loss in _train(model, self.train, loss, updates, settings, self.seed):
                with updates.averaging.in_place():
                    last = self._evaluated(epoch, rows, train_loss)
                self.callback(Progress(self.stage, rows, settings.epochs * len(self.train), last.loss, last.auc))
                yield last
                if self.kept.waited >= settings.patience:
                    break

    def _evaluated(self, epoch: int, rows: int, train_loss: float) -> Evaluation:
        """Evaluate the model, and keep the weights of its parts for which none were better."""
        found = self.evaluate(self.model, epoch, rows, train_loss)
        self.evaluations.append(found)
        self.kept.look(found)
        return found


def _train(
    model: nn.Module, train: Batch, loss: MultiTaskLoss, updates: Updates, settings: TrainingSettings, seed: int
) -> Iterator[tuple[int, int, float]]:
    """Yield epoch, rows so far and mean training loss since the last time, whenever an evaluation is due."""
    generator, device = torch.Generator().manual_seed(seed), device_of(model)
    loss.to(device)
    losses_of = _losses(model, loss, settings, device)
    balancing = find_balancing(settings, model, loss.weights)
    rows, deadline = 0, current_deadline()
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
            if deadline.passed:
                break
            if due <= rows < end - settings.evaluate_every // 2:
                yield epoch, rows, float(total @ loss.weights) / steps
                due, total, steps = rows + settings.evaluate_every, torch.zeros_like(loss.weights), 0
        balancing.after_epoch()
        yield epoch, rows, float(total @ loss.weights) / max(steps, 1)
        if deadline.passed:
            break


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
        found = loss.per_task(logits.float(), batch)
        return found + model.penalty(logits.float()) if isinstance(model, HasPenalty) else found

    return losses
