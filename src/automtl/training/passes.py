"""Passes over the training rows, from any place in them. T tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from automtl.errors import WorkerError
from automtl.features.batch import Batch, Features, iterate
from automtl.features.row_shards import RowShards
from automtl.system.deadline import current_deadline
from automtl.system.hardware import device_of, keeps_rows, precision
from automtl.system.memory import out_of_memory
from automtl.system.randomness import drawing_apart
from automtl.system.workers import all_rows, workers
from automtl.training.balancing import find_balancing
from automtl.training.divergence import CHECK_EVERY, NotFiniteError, first_not_finite, loss_of
from automtl.training.hooks import HasMembers, HasPenalty
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings
from automtl.training.updates import Updates


@dataclass
class Place:
    """A place in the passes, between two batches.

    `batches`: of this epoch that are done; `order`: the state of the generator at its start; `rows`: of all epochs;
    `total`: the sum (T,) of the losses of the `steps` since the last evaluation, and `due`: the rows at which the next
    one is. `parts`: into which a batch is cut, since memory did not suffice for all its rows at once.
    """

    order: Tensor
    total: Tensor
    due: int
    epoch: int = 0
    batches: int = 0
    rows: int = 0
    steps: int = 0
    parts: int = 1

    @staticmethod
    def first(seed: int, tasks: int, settings: TrainingSettings, device: torch.device) -> Place:
        """Return the place before the first batch."""
        order = torch.Generator().manual_seed(seed).get_state()
        return Place(order, torch.zeros(tasks, device=device), settings.evaluate_every)

    def begun(self, device: torch.device | None = None) -> Place:
        """Return a copy of a place right after an evaluation, where nothing is summed yet."""
        return replace(self, total=torch.zeros_like(self.total, device=device))

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the place, by name."""
        return {"order": self.order, "total": self.total}

    def values(self) -> dict[str, int]:
        """Return the numbers of the place, by name."""
        return {name: getattr(self, name) for name in ("due", "epoch", "batches", "rows", "steps", "parts")}

    @staticmethod
    def of(values: dict[str, int], tensors: dict[str, Tensor], device: torch.device) -> Place:
        """Return the place that `values` and `tensors` describe."""
        return Place(tensors["order"], tensors["total"].to(device), **values)


class Passes:
    """Trains a model on batches of its rows, and stops where an evaluation is due.

    Now and then it is checked that the losses are finite. `careful`: after each step, and the gradient's norm, too.
    `told`: is called with the number of rows at once where memory did not suffice for more.
    """

    def __init__(
        self, model: nn.Module, train: Batch, loss: MultiTaskLoss, updates: Updates, settings: TrainingSettings,
        *, careful: bool = False, told: Callable[[int], None] = lambda rows: None,
    ) -> None:  # fmt: skip
        self.model, self.updates, self.settings = model, updates, settings
        self.device, self.careful, self.told = device_of(model), careful, told
        self.train = train.to(self.device) if keeps_rows(self.device, train.num_bytes) else train
        self.loss = loss.to(self.device)
        self.balancing = find_balancing(settings, model, loss.weights)
        self.losses_of = _losses(model, loss, settings, self.device)

    def run(self, place: Place, after_step: Callable[[], None]) -> Iterator[tuple[int, int, float]]:
        """Yield epoch, rows so far and mean training loss whenever an evaluation is due, from a place on.

        The place moves along; it stands behind what is yielded. `after_step` is called between two batches. Raises
        NotFiniteError.
        """
        generator, deadline = torch.Generator(), current_deadline()
        while place.epoch < self.settings.epochs:
            generator.set_state(place.order)
            self.model.train()
            batches = self._batches(generator)
            for batch in islice(batches, place.batches, None):
                self._step(batch, place)
                if deadline.passed:
                    break
                if place.due <= place.rows < (place.epoch + 1) * len(self.train) - self.settings.evaluate_every // 2:
                    yield self._evaluation(place, place.epoch)
                after_step()
            self.balancing.after_epoch()
            epoch, place.epoch, place.batches, place.order = place.epoch, place.epoch + 1, 0, generator.get_state()
            yield self._evaluation(place, epoch)
            if deadline.passed:
                break

    def _batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Yield the batches of a pass; of several workers, one for each shard, each reads the inputs of its own."""
        size, count, own = self.settings.batch_size, self.settings.row_shards, workers()
        if count == 1:
            return iterate(self.train, size, generator, self.device)
        shards = RowShards(count, own.place if own.count == count else None)
        return shards.iterate(self.train, size, generator, self.device)

    def _step(self, batch: Batch, place: Place) -> None:
        losses = self._gradients(batch, place)
        self.updates.apply()
        again = self._losses_at_once if place.parts == 1 else partial(self._losses_in_parts, place.parts)
        self.balancing.after_step(partial(again, batch))
        place.total += losses.detach()
        if self.careful:
            self._check(losses.detach(), batch, place)
        place.steps, place.batches, place.rows = place.steps + 1, place.batches + 1, place.rows + len(batch)
        if place.steps % CHECK_EVERY == 0:
            self._check_sums(place)

    def _losses_at_once(self, batch: Batch) -> Tensor:
        """Return the losses (T,) of a batch, or of a part of it."""
        return self.losses_of(batch)

    def _gradients(self, batch: Batch, place: Place) -> Tensor:
        """Give the parameters the gradients of a batch, and return its losses (T,).

        Where memory does not suffice for all rows at once, it is cut into parts, whose gradients are summed.
        """
        while True:
            self.updates.clear()
            try:
                return self._whole(batch, place) if place.parts == 1 else self._summed(batch, place.parts)
            except (RuntimeError, MemoryError) as error:
                if workers().several and out_of_memory(error):
                    raise WorkerError(
                        "the memory of a worker does not suffice for its part of a batch; set a smaller "
                        "training.batch_size, or take more workers"
                    ) from None
                if not out_of_memory(error) or self.balancing.keeps_graph or place.parts >= len(batch):
                    raise
            place.parts *= 2
            self.told(-(-self.settings.batch_size // place.parts))

    def _whole(self, batch: Batch, place: Place) -> Tensor:
        losses = self._losses_at_once(batch)
        try:
            self.balancing.total(losses).backward()
        except (RuntimeError, ValueError, ArithmeticError) as error:  # of solvers of some balancings
            if not out_of_memory(error):
                self._check(losses.detach(), batch, place)
            raise
        return losses.detach()

    def _cut(self, batch: Batch, parts: int) -> Iterator[tuple[Batch, Tensor]]:
        """Yield the parts of a batch, and the shares (T,) of the tasks' weights that they have."""
        size, every = -(-len(batch) // parts), _task_weights(batch).clamp(min=1e-12)
        for start in range(0, len(batch), size):
            part = batch.take(slice(start, start + size))
            yield part, (_task_weights(part) / every).to(self.device)

    @torch.no_grad()
    def _losses_in_parts(self, parts: int, batch: Batch) -> Tensor:
        """Return the losses (T,) of a batch as means over its parts."""
        return torch.stack([self._losses_at_once(part) * share for part, share in self._cut(batch, parts)]).sum(0)

    def _summed(self, batch: Batch, parts: int) -> Tensor:
        """Sum the gradients of the parts: those of the whole batch but for rounding, and for what dropout draws."""
        found = self._losses_in_parts(parts, batch).requires_grad_()
        self.balancing.total(found).backward()  # the slope of the total by each loss, and the balancing's own gradients
        assert found.grad is not None
        for part, share in self._cut(batch, parts):
            (self._losses_at_once(part) * share @ found.grad).backward()
        return found.detach()

    def _check_sums(self, place: Place) -> None:
        """Raise NotFiniteError where a loss since the last evaluation was not finite."""
        task = first_not_finite(place.total)
        if task is not None:
            raise NotFiniteError(loss_of(place.total, self.loss.tasks, task), task=task)

    def _check(self, losses: Tensor, batch: Batch, place: Place) -> None:
        """Raise NotFiniteError where the losses (T,) of a batch, or the last gradient, are not finite."""
        task = first_not_finite(losses)
        if task is None and bool(self.updates.norm.isfinite()):
            return
        what = "the gradient is not finite" if task is None else loss_of(losses, self.loss.tasks, task)
        first = place.batches * self.settings.batch_size
        where = f" in epoch {place.epoch + 1}, batch {place.batches + 1} (rows {first + 1} to {first + len(batch)})"
        raise NotFiniteError(what, batch, task, where)

    def _evaluation(self, place: Place, epoch: int) -> tuple[int, int, float]:
        """Return what is known of an evaluation, and begin to count anew. Raises NotFiniteError."""
        self._check_sums(place)
        found = epoch, place.rows, float(place.total @ self.loss.weights) / max(place.steps, 1)
        place.due, place.total = place.rows + self.settings.evaluate_every, torch.zeros_like(place.total)
        place.steps = 0
        return found


def _task_weights(batch: Batch) -> Tensor:
    """Return the sum (T,) of the weights of the rows on which each task holds."""
    return (batch.mask * batch.weight.unsqueeze(1)).sum(0)


def logits_of_all(run: Callable[[Features], Tensor], batch: Batch) -> Tensor:
    """Return the logits (B, T) of a batch, or (K, B, T) of members, of which each worker computes its share."""
    own = workers()
    if len(batch) < own.count:  # all compute all of it, alike
        return all_rows(run(batch.features).float(), len(batch))
    if batch.own is not None:
        assert batch.own == own.share(len(batch)), "inputs of other rows are elsewhere"
    whole = batch.own is not None or not own.several
    part = batch.features if whole else batch.features.take(own.share(len(batch)))
    with drawing_apart():
        logits = run(part)
    return all_rows(logits.float(), len(batch))


def _losses(
    model: nn.Module, loss: MultiTaskLoss, settings: TrainingSettings, device: torch.device
) -> Callable[[Batch], Tensor]:
    """Make a function from a batch to its losses (T,), in the precision of the settings."""
    called: Callable[[Features], Tensor] = model.member_logits if isinstance(model, HasMembers) else model
    run: Any = torch.compile(called) if settings.compile else called
    numbers = precision(settings.precision, device)

    def losses(batch: Batch) -> Tensor:
        with numbers:
            logits = logits_of_all(run, batch)
        found = loss.per_task(logits, batch)
        return found + model.penalty(logits) if isinstance(model, HasPenalty) else found

    return losses
