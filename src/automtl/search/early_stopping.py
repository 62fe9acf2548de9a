"""Operation-level early stopping (paper, 3.4.3): an operation that overfits no longer trains.

For each candidate of each copy with parameters, the difference of direction between its gradient on a training
batch and on a validation batch is one minus their cosine. Dot products and norms are smoothed before the cosine is
taken, since noise of single batches alone keeps raw cosines near zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from automtl.models.block import PlacedOperation
from automtl.search.procedure import Procedure

SMALL = 16  # operations with fewer parameters are exempt
SMOOTHING = 20  # checks over which gradients are averaged, as the span of an exponential mean


class OperationStopping:
    """Watches all operations of a network; `record` training gradients, `check` them against validation gradients.

    Statistics of all operations and copies lie in one row of N; `rows[i]` are those of operation i.
    """

    def __init__(self, placed: Sequence[PlacedOperation], procedure: Procedure) -> None:
        self.procedure = procedure
        self.operations = [one for one in placed if _size(one) >= SMALL]
        device = next((one.parameters[0].device for one in self.operations), None)
        ends = list(accumulate((len(one.cells) for one in self.operations), initial=0))
        self.rows = [slice(start, end) for start, end in pairwise(ends)]
        self.products = torch.zeros(3, ends[-1], device=device)  # smoothed: train . valid, train . train, valid . valid
        self.strikes = torch.zeros(ends[-1], dtype=torch.long, device=device)
        self.stopped_at = torch.full((ends[-1],), -1, dtype=torch.long, device=device)
        self.stands = [False] * ends[-1]  # what is stopped, as the processor knows it
        self.fresh = [False] * len(self.operations)
        self.recorded = [torch.zeros(len(one.cells), _size(one), device=device) for one in self.operations]
        self.past: list[dict[str, Any]] = []  # stopped candidates that are no longer there

    @torch.no_grad()
    def pruned(self, placed: Sequence[PlacedOperation]) -> OperationStopping:
        """Make the statistics of the operations that are left in a pruned network."""
        kept = OperationStopping(placed, self.procedure)
        before = {id(one.parameters[0]): index for index, one in enumerate(self.operations)}
        for index, operation in enumerate(kept.operations):
            old = before.pop(id(operation.parameters[0]))
            kept.products[:, kept.rows[index]] = self.products[:, self.rows[old]]
            kept.strikes[kept.rows[index]] = self.strikes[self.rows[old]]
            kept.stopped_at[kept.rows[index]] = self.stopped_at[self.rows[old]]
            kept.stands[kept.rows[index]] = self.stands[self.rows[old]]
            kept.recorded[index], kept.fresh[index] = self.recorded[old], self.fresh[old]
        kept.past = [*self.past, *self._stopped(sorted(before.values()))]
        return kept

    @torch.no_grad()
    def record(self) -> None:
        """Keep a copy of the gradients that the training batch left."""
        for index, operation in enumerate(self.operations):
            gradients = _gradients(operation)
            self.fresh[index] = gradients is not None
            if gradients is not None:
                self.recorded[index].copy_(gradients)

    @torch.no_grad()
    def check(self, step: int) -> None:
        """Compare the current gradients, of a validation batch, with the recorded ones; stop what overfits.

        Without early stopping the differences are measured all the same; with it, this waits for the device.
        """
        now, seen = torch.zeros_like(self.products), torch.zeros_like(self.strikes, dtype=torch.bool)
        for operation, rows, train, fresh in zip(self.operations, self.rows, self.recorded, self.fresh, strict=True):
            valid = _gradients(operation) if fresh else None
            if valid is not None:
                seen[rows] = True
                for row, (a, b) in enumerate(((train, valid), (train, train), (valid, valid))):
                    now[row, rows] = torch.linalg.vecdot(a, b)
        new = (self.products == 0).all(dim=0)
        pace = torch.where(new, 1.0, 2 / (SMOOTHING + 1)) * seen
        self.products.lerp_(now, pace.expand_as(now))
        if not self.procedure.early_stopping:
            return
        over = self.difference() > self.procedure.stop_threshold
        self.strikes.copy_(torch.where(seen, (self.strikes + 1) * over, self.strikes))
        self.stopped_at.masked_fill_((self.strikes >= self.procedure.stop_patience) & (self.stopped_at < 0), step)
        self._look()

    def _look(self) -> None:
        """Let the processor know what is stopped."""
        self.stands = (self.stopped_at >= 0).tolist()

    def difference(self) -> Tensor:
        """Return one minus the cosine of the smoothed gradients, (N,); 0 before the first check."""
        dot, train, valid = self.products
        scale = (train * valid).sqrt()
        return torch.where(scale > 0, 1 - dot / scale.clamp(min=1e-30), torch.zeros_like(dot))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep optimizer steps in this block from moving what is stopped, by momentum or by decay.

        What is stopped in all copies loses its gradient; what is stopped in some gets its weights back.
        """
        entries = []
        for operation, rows in zip(self.operations, self.rows, strict=True):
            copies = [copy for copy, still in enumerate(self.stands[rows]) if still]
            moving = [p for p in operation.parameters if p.grad is not None] if copies else []
            if len(copies) < len(operation.cells):
                entries += [(p[copy], p[copy].clone()) for p in map(torch.detach, moving) for copy in copies]
                continue
            for parameter in moving:
                parameter.grad = None
        yield
        for now, before in entries:
            now.copy_(before)

    def stopped(self) -> list[dict[str, Any]]:
        """List the stopped operations: choice, cell, operation, step."""
        return [*self.past, *self._stopped(range(len(self.operations)))]

    def _stopped(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {"choice": one.choice, "cell": cell, "operation": str(one.operation), "step": step}
            for one, rows in ((self.operations[index], self.rows[index]) for index in indices)
            for cell, step in zip(one.cells, self.stopped_at[rows].tolist(), strict=True)
            if step >= 0
        ]

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state by name; the tensors are no copies."""
        found = {f"recorded.{index}": value for index, value in enumerate(self.recorded)}
        found |= {name: getattr(self, name) for name in ("products", "strikes", "stopped_at")}
        return found | {"fresh": torch.tensor(self.fresh, dtype=torch.bool)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        for name, value in self.tensors().items():
            value.copy_(tensors[name])
        self.fresh = tensors["fresh"].tolist()
        self._look()


def _size(placed: PlacedOperation) -> int:
    """Count the parameters of one copy."""
    return sum(parameter[0].numel() for parameter in placed.parameters)


def _gradients(placed: PlacedOperation) -> Tensor | None:
    """Copy an operation's gradients, (S, size); None where the last pass did not run it."""
    found = [parameter.grad for parameter in placed.parameters]
    if any(gradient is None for gradient in found):
        return None
    return torch.cat([gradient.flatten(1) for gradient in found if gradient is not None], dim=1)
