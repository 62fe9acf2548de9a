"""Operation-level early stopping (paper, 3.4.3): an operation that overfits no longer trains.

For each candidate of each copy with parameters, the difference of direction between its gradient on a training
batch and on a validation batch is one minus their cosine. Dot products and norms are smoothed before the cosine is
taken, since noise of single batches alone keeps raw cosines near zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from automtl.models.block import PlacedOperation
from automtl.search.settings import SearchSettings

SMALL = 16  # operations with fewer parameters are exempt


@dataclass(frozen=True)
class Candidate:
    """One candidate in all its copies (S): choice, cells of the copies, option, what it owns (each (S, ...))."""

    choice: str
    cells: tuple[int, ...]
    option: str
    parameters: tuple[nn.Parameter, ...]

    @property
    def count(self) -> int:
        """Parameters of one copy."""
        return sum(parameter[0].numel() for parameter in self.parameters)

    def gradients(self) -> Tensor | None:
        """(S, count), a copy; None where the last pass did not run it."""
        found = [parameter.grad for parameter in self.parameters]
        if any(gradient is None for gradient in found):
            return None
        return torch.cat([gradient.flatten(1) for gradient in found if gradient is not None], dim=1)


def candidates_of(placed: Sequence[PlacedOperation]) -> list[Candidate]:
    """All candidates that have enough parameters to be watched."""
    found = [Candidate(one.choice, one.cells, str(one.operation), one.parameters) for one in placed]
    return [candidate for candidate in found if candidate.count >= SMALL]


class OperationStopping:
    """Watches all candidates of a network; `record` training gradients, `check` them against validation gradients.

    Statistics of all candidates and copies lie in one row of N; `rows[i]` are those of candidate i.
    """

    def __init__(self, placed: Sequence[PlacedOperation], settings: SearchSettings) -> None:
        self.settings = settings
        self.candidates = candidates_of(placed)
        ends = torch.tensor([0, *(len(candidate.cells) for candidate in self.candidates)]).cumsum(0).tolist()
        self.rows = [slice(start, end) for start, end in pairwise(ends)]
        self.products = torch.zeros(3, ends[-1])  # smoothed: train . valid, train . train, valid . valid
        self.strikes = torch.zeros(ends[-1], dtype=torch.long)
        self.stopped_at = torch.full((ends[-1],), -1, dtype=torch.long)
        self.fresh = torch.zeros(len(self.candidates), dtype=torch.bool)
        self.recorded = [torch.zeros(len(one.cells), one.count) for one in self.candidates]
        self.checks = 0
        self.past: list[dict[str, Any]] = []  # stopped candidates that are no longer there

    @torch.no_grad()
    def keep(self, placed: Sequence[PlacedOperation]) -> OperationStopping:
        """The same for a narrowed network that holds some of these candidates' parameters."""
        kept = OperationStopping(placed, self.settings)
        before = {id(one.parameters[0]): index for index, one in enumerate(self.candidates)}
        for index, candidate in enumerate(kept.candidates):
            old = before.pop(id(candidate.parameters[0]))
            kept.products[:, kept.rows[index]] = self.products[:, self.rows[old]]
            kept.strikes[kept.rows[index]] = self.strikes[self.rows[old]]
            kept.stopped_at[kept.rows[index]] = self.stopped_at[self.rows[old]]
            kept.recorded[index], kept.fresh[index] = self.recorded[old], self.fresh[old]
        kept.checks, kept.past = self.checks, [*self.past, *self._stopped(sorted(before.values()))]
        return kept

    @torch.no_grad()
    def record(self) -> None:
        """Keep a copy of the gradients that the training batch left."""
        for index, candidate in enumerate(self.candidates):
            gradients = candidate.gradients()
            self.fresh[index] = gradients is not None
            if gradients is not None:
                self.recorded[index].copy_(gradients)

    @torch.no_grad()
    def check(self, step: int) -> None:
        """Compare the gradients present (of a validation batch) with those recorded; stop what overfits.

        Without early stopping the differences are known all the same.
        """
        self.checks += 1
        now, seen = torch.zeros_like(self.products), torch.zeros_like(self.strikes, dtype=torch.bool)
        for candidate, rows, train, fresh in zip(
            self.candidates, self.rows, self.recorded, self.fresh.tolist(), strict=True
        ):
            valid = candidate.gradients() if fresh else None
            if valid is not None:
                seen[rows] = True
                for row, (a, b) in enumerate(((train, valid), (train, train), (valid, valid))):
                    now[row, rows] = torch.linalg.vecdot(a, b)
        new = (self.products == 0).all(dim=0)
        pace = torch.where(new, 1.0, 2 / (self.settings.stop_smoothing + 1)) * seen
        self.products.lerp_(now, pace.expand_as(now))
        if not self.settings.early_stopping:
            return
        over = self.difference() > self.settings.stop_threshold
        self.strikes.copy_(torch.where(seen, (self.strikes + 1) * over, self.strikes))
        self.stopped_at.masked_fill_((self.strikes >= self.settings.stop_patience) & (self.stopped_at < 0), step)

    def difference(self) -> Tensor:
        """(N,) one minus the cosine of the smoothed gradients; 0 before the first check."""
        dot, train, valid = self.products
        scale = (train * valid).sqrt()
        return torch.where(scale > 0, 1 - dot / scale.clamp(min=1e-30), torch.zeros_like(dot))

    def hold(self) -> Held:
        """Before an optimizer step: what is stopped in all copies loses its gradient, so that no step moves it.

        Of what is stopped in some copies alone, the weights are remembered.
        """
        stopped, entries = (self.stopped_at >= 0).tolist(), []
        for candidate, rows in zip(self.candidates, self.rows, strict=True):
            copies = [copy for copy, still in enumerate(stopped[rows]) if still]
            moving = [p for p in candidate.parameters if p.grad is not None] if copies else []
            if len(copies) < len(candidate.cells):
                entries += [(p, copies, p.detach()[copies]) for p in moving]
                continue
            for parameter in moving:
                parameter.grad = None
        return Held(entries)

    def stopped(self) -> list[dict[str, Any]]:
        """Where and when operations were stopped: choice, cell, operation, step."""
        return [*self.past, *self._stopped(range(len(self.candidates)))]

    def _stopped(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {"choice": one.choice, "cell": cell, "operation": one.option, "step": step}
            for one, rows in ((self.candidates[index], self.rows[index]) for index in indices)
            for cell, step in zip(one.cells, self.stopped_at[rows].tolist(), strict=True)
            if step >= 0
        ]

    def tensors(self) -> dict[str, Tensor]:
        """The whole state, by name; the tensors are the live ones."""
        found = {f"recorded.{index}": value for index, value in enumerate(self.recorded)}
        names = ("products", "strikes", "stopped_at", "fresh")
        return found | {name: getattr(self, name) for name in names}


class Held:
    """Weights of stopped operations, put back after an optimizer step so that neither momentum nor decay moves them."""

    def __init__(self, entries: list[tuple[nn.Parameter, list[int], Tensor]]) -> None:
        self.entries = entries

    @torch.no_grad()
    def restore(self) -> None:
        """Undo the step for stopped operations."""
        for parameter, copies, before in self.entries:
            parameter[copies] = before
