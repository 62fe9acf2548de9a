"""The one training loop."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass
from torch import Tensor, nn

from automtl.errors import SettingsError
from automtl.features.batch import Batch, Features, iterate
from automtl.nn.embedding import FieldEmbedding
from automtl.system.denormal import EVERY, ignore_denormals, remove_tiny
from automtl.system.hardware import device_of, find_device, precision
from automtl.system.memory import keep_freed_memory
from automtl.system.progress import Callback, Progress, ignore
from automtl.tables.schema import CONFIG, Task, TaskKind
from automtl.training.adam import FusedAdam
from automtl.training.averaging import Averaging
from automtl.training.balancing import Balancing, BalancingName, find_balancing
from automtl.training.clipping import clip
from automtl.training.losses import MultiTaskLoss, task_means
from automtl.training.metrics import Scores, fast_auc, task_rows
from automtl.training.rowwise import RowWiseAdam, pays_by_rows
from automtl.training.targets import Targets

PREDICT_ROWS = 2048  # a batch of prediction: its hidden units stay in cache


@settings_dataclass(frozen=True, config=CONFIG)
class TrainingSettings:
    """Adam, early stopping on validation rows with `patience` in checks, best weights restored.

    A table of many rows is checked several times an epoch: after every `check_rows` rows at the latest.
    `averaging`: a model is judged, and left, with weights averaged over its steps, of which each keeps this share.
    `embedding_updates`: of all rows of the embedding tables in every step, or of those it meets; auto: by their number.
    `balancing`: how the losses of the tasks become one step; all but equal need the extra of that name.
    `precision`: of products in training; auto: bf16 where the machine has it, which takes half the time. `compile`: by
    torch.compile, which needs a C++ compiler and some minutes.
    `device`: auto is a graphics card if there is one.
    """

    epochs: int = Limit(default=40, ge=1)
    batch_size: int = Limit(default=1024, ge=1)
    learning_rate: float = Limit(default=1e-3, gt=0)
    weight_decay: float = Limit(default=1e-5, ge=0)
    embedding_weight_decay: float = Limit(default=1e-4, ge=0)
    patience: int = Limit(default=2, ge=1)
    check_rows: int = Limit(default=1_000_000_000, ge=1)
    gradient_clip: float = Limit(default=10.0, gt=0)
    averaging: float = Limit(default=0.99, ge=0, lt=1)
    embedding_updates: Literal["auto", "dense", "row-wise"] = "auto"
    balancing: BalancingName = "equal"
    precision: Literal["auto", "full", "bf16"] = "auto"
    compile: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class Check:
    """One look at the validation rows: normalised loss (1 is the base rate's), MTL-Loss, AUC by task if defined."""

    epoch: int
    rows: int
    train_loss: float
    score: float
    loss: float
    auc: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class FitResult:
    """All checks, the index of the best one, and the seconds it took. The model holds the best weights."""

    checks: tuple[Check, ...]
    best: int
    seconds: float

    @property
    def score(self) -> float:
        """Normalised validation loss of the best check; smaller is better."""
        return self.checks[self.best].score


class SelfTrained(nn.Module, ABC):
    """A model that gradients do not train: `fit` leaves it to its own way to learn."""

    @abstractmethod
    def learn(self, train: Batch, valid: Batch, seed: int, callback: Callback, stage: str) -> list[float]:
        """Learn, deterministically by `seed`, and return each task's loss on the training rows."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Numbers that were learned."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What torch can only draw globally (dropout) is drawn by `seed`; the global state is restored."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def parameter_groups(model: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Embedding tables apart, with their own weight decay: told by the module that holds them."""
    tables = [module.table for module in embeddings(model)]
    apart = {id(table) for table in tables}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    return [
        {"params": tables, "weight_decay": settings.embedding_weight_decay},
        {"params": rest, "weight_decay": settings.weight_decay},
    ]


def embeddings(model: nn.Module) -> list[FieldEmbedding]:
    """The modules that hold embedding tables."""
    return [module for module in model.modules() if isinstance(module, FieldEmbedding)]


def by_rows(model: nn.Module, train: Batch, settings: TrainingSettings) -> list[FieldEmbedding]:
    """The embeddings whose tables are moved by the rows that a step meets. The one place that decides it."""
    if settings.embedding_updates != "auto":
        return embeddings(model) if settings.embedding_updates == "row-wise" else []
    features = train.features
    ids = min(settings.batch_size, len(train)) * sum(
        part[0].numel() for part in (features.categorical, *features.multi)
    )
    return [module for module in embeddings(model) if pays_by_rows(len(module.table), ids)]


class Updates:
    """All parameters of a model, moved by Adam; some embedding tables by rows: `updating` makes one."""

    def __init__(self, model: nn.Module, train: Batch, settings: TrainingSettings) -> None:
        self.apart = by_rows(model, train, settings)
        for module in self.apart:
            module.row_wise = True
        tables = [module.table for module in self.apart]
        ids = {id(table) for table in tables}
        groups = parameter_groups(model, settings)
        for group in groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in ids]
        self.clip = settings.gradient_clip
        self.dense = FusedAdam(groups, settings.learning_rate)
        self.rows = RowWiseAdam(tables, settings.learning_rate, settings.embedding_weight_decay)
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.averaging = Averaging(model, settings.averaging, tables)
        self.taken = 0

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`, which is cut to the norm of the settings."""
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        gradients = self.rows.gradients()
        every = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        every += [gradient.values for gradient in gradients]
        clip(every, self.clip)
        self.dense.step()
        self.rows.step(gradients)
        self.averaging.after_step()
        self.taken += 1
        if self.taken % EVERY == 0:
            remove_tiny(self.dense.optimizer)


@contextmanager
def updating(model: nn.Module, train: Batch, settings: TrainingSettings) -> Iterator[Updates]:
    """Updates of a model; afterwards its embeddings have whole gradients again."""
    updates = Updates(model, train, settings)
    try:
        yield updates
    finally:
        for module in updates.apart:
            module.row_wise = False


def fit(
    model: nn.Module,
    train: Batch,
    valid: Batch,
    tasks: Sequence[Task],
    settings: TrainingSettings,
    seed: int,
    callback: Callback = ignore,
    stage: str = "training",
) -> FitResult:
    """Train `model` (features -> logits (B, T)) and leave it with the weights that were best on validation rows.

    It is trained on the device of the settings, and left on the processor.
    """
    start = time.perf_counter()
    ignore_denormals()
    keep_freed_memory()
    judge = Judge(valid, tasks, MultiTaskLoss(tasks))
    if isinstance(model, SelfTrained):
        losses = model.learn(train, valid, seed, callback, stage)
        check = judge(model, 0, len(train), float(torch.tensor(losses, dtype=torch.float32) @ judge.loss.weights))
        return FitResult((check,), 0, time.perf_counter() - start)
    model.to(find_device(settings.device))
    checks: list[Check] = []
    best: dict[str, Tensor] = {}
    best_index, total = 0, settings.epochs * len(train)
    loss = MultiTaskLoss(tasks, sampled=True)
    with seeded(seed), updating(model, train, settings) as updates:
        for epoch, rows, train_loss in _train(model, train, loss, updates, settings, seed):
            with updates.averaging.in_place():
                checks.append(judge(model, epoch, rows, train_loss))
                if len(checks) == 1 or checks[-1].score < checks[best_index].score:
                    best_index = len(checks) - 1
                    best = {name: value.detach().clone() for name, value in model.state_dict().items()}
            callback(Progress(stage, rows, total, checks[-1].loss, checks[-1].auc))
            if len(checks) - 1 - best_index >= settings.patience:
                break
    model.load_state_dict(best)
    model.eval().cpu()
    return FitResult(tuple(checks), best_index, time.perf_counter() - start)


def _train(
    model: nn.Module,
    train: Batch,
    loss: MultiTaskLoss,
    updates: Updates,
    settings: TrainingSettings,
    seed: int,
) -> Iterator[tuple[int, int, float]]:
    """Yields epoch, rows so far and mean training loss whenever the validation rows are due."""
    generator, device = torch.Generator().manual_seed(seed), device_of(model)
    loss.to(device)
    losses = _losses(model, loss, settings, device)
    balance = balancing_of(settings, model, loss.weights)
    rows = 0
    for epoch in range(settings.epochs):
        due, total, steps = settings.check_rows, torch.zeros_like(loss.weights), 0
        start, model_rows = rows, len(train)
        model.train()
        for batch in iterate(train, settings.batch_size, generator):
            again = partial(losses, batch if device.type == "cpu" else batch.to(device))
            found = again()
            updates.step(balance.total(found))
            balance.after_step(again)
            total += found.detach()
            steps, rows = steps + 1, rows + len(batch)
            if rows - start >= due and rows - start < model_rows - settings.check_rows // 2:
                yield epoch, rows, float(total @ loss.weights) / steps
                due, total, steps = rows - start + settings.check_rows, torch.zeros_like(loss.weights), 0
        balance.after_epoch()
        yield epoch, rows, float(total @ loss.weights) / max(steps, 1)


def _losses(
    model: nn.Module, loss: MultiTaskLoss, settings: TrainingSettings, device: torch.device
) -> Callable[[Batch], Tensor]:
    """The losses (T,) of a batch, in the precision of the settings."""
    run: Callable[[Features], Tensor] = torch.compile(model) if settings.compile else model
    numbers = precision(settings.precision, device)

    def value(batch: Batch) -> Tensor:
        with numbers:
            logits = run(batch.features)
        return loss.per_task(logits.float(), batch)

    return value


def balancing_of(settings: TrainingSettings, model: nn.Module, weights: Tensor) -> Balancing:
    """The balancing of the settings for a model and tasks of these weights. Raises SettingsError."""
    found = find_balancing(settings.balancing, model, weights, settings.learning_rate)
    if settings.compile and found.keeps_graph:
        raise SettingsError(
            f"training.balancing '{settings.balancing}' takes several gradients of a step, which a compiled model does "
            "not keep; set training.compile to false"
        )
    return found


class Judge:
    """Scores a model on validation rows: each task's loss over that of its base rate, weighted by task."""

    def __init__(self, valid: Batch, tasks: Sequence[Task], loss: MultiTaskLoss) -> None:
        self.valid, self.tasks, self.loss = replace(valid, group=None), tasks, loss
        rate = task_means(valid, lambda part, _: loss.targets(part.labels))
        base = torch.where(loss.binary, torch.logit(rate.clamp(1e-6, 1 - 1e-6)), rate)
        self.base = loss.over(base.expand_as(valid.labels), valid).clamp(min=1e-6)

    def __call__(self, model: nn.Module, epoch: int, rows: int, train_loss: float) -> Check:
        logits = predict_logits(model, self.valid)
        losses = self.loss.over(logits, self.valid)
        score = float((losses / self.base) @ self.loss.weights)
        return Check(epoch, rows, train_loss, score, float(losses @ self.loss.weights), self._auc(logits.numpy()))

    def _auc(self, logits: np.ndarray) -> dict[str, float]:
        """Of the binary tasks of which the validation rows have both classes."""
        found = {}
        for index, task in enumerate(self.tasks):
            if task.kind is TaskKind.BINARY:
                found[task.name] = fast_auc(task_rows(logits[:, index], self.valid, index))
        return {name: value for name, value in found.items() if not math.isnan(value)}


@torch.inference_mode()
def predict_logits(model: nn.Module, batch: Batch, products: Literal["auto", "full"] = "full") -> Tensor:
    """(N, T) logits without dropout, on the processor; the mode of the model is restored.

    products: their precision, as in the settings of training; logits are in full precision.
    """
    training, device = model.training, device_of(model)
    if training:  # walking all modules takes as long as a small model needs for a row
        model.eval()
    with precision(products, device):
        if len(batch) <= PREDICT_ROWS:
            logits: Tensor = model(batch.features.to(device)).float().cpu()
        else:
            for index, part in enumerate(iterate(batch, PREDICT_ROWS)):
                found = model(part.features.to(device))
                if index == 0:
                    logits = torch.empty(len(batch), found.shape[1])
                logits[index * PREDICT_ROWS :][: len(part)] = found
    if training:
        model.train()
    return logits


def to_scores(logits: Tensor, tasks: Sequence[Task]) -> np.ndarray:
    """(N, T) probabilities for binary tasks, values for regression."""
    binary = torch.tensor([task.kind is TaskKind.BINARY for task in tasks])
    values = logits.double()
    scores: np.ndarray = torch.where(binary, values.sigmoid(), Targets(tasks).inverse(values)).numpy()
    return scores


def scores_of(logits: Tensor, tasks: Sequence[Task]) -> Scores:
    """The same a task at a time, so that half of their memory is kept, or less."""
    return lambda index: to_scores(logits[:, index : index + 1], tasks[index : index + 1])[:, 0]
