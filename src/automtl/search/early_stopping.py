"""Operation-level early stopping (paper, 3.4.3): an operation that overfits no longer trains.

For each candidate of each copy with parameters, the difference of direction between its gradient on a training
batch and on a validation batch is one minus their cosine. Dot products and norms are smoothed before the cosine is
taken, since noise of single batches alone keeps raw cosines near zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from automtl.models.block import PlacedMixture
from automtl.nn.mixture import Owned
from automtl.search.settings import SearchSettings

SMALL = 16  # operations with fewer parameters are exempt


class OperationStopping:
    """Watches all mixtures of a network; `record` training gradients, `check` them against validation gradients."""

    def __init__(self, placed: Sequence[PlacedMixture], settings: SearchSettings) -> None:
        self.settings = settings
        self.watched = [Watched(place) for place in placed if place.mixture.owned()]
        self.checks = 0

    def record(self) -> None:
        """Keep a copy of the gradients that the training batch left."""
        for watched in self.watched:
            watched.record()

    def check(self, step: int) -> None:
        """Compare the gradients present (of a validation batch) with those recorded; stop what overfits."""
        self.checks += 1
        for watched in self.watched:
            watched.check(step, self.settings)

    def hold(self) -> Held:
        """Remember the stopped weights before an optimizer step."""
        return Held([entry for watched in self.watched for entry in watched.hold()])

    def differences(self) -> Tensor:
        """All current smoothed differences of operations that are not exempt (n,)."""
        found = [watched.difference()[watched.counts >= SMALL] for watched in self.watched]
        return torch.cat(found) if found else torch.zeros(0)

    def stopped(self) -> list[dict[str, Any]]:
        """Where and when operations were stopped: choice, cell, option, step."""
        return [entry for watched in self.watched for entry in watched.stopped_entries()]

    def tensors(self) -> dict[str, Tensor]:
        """The whole state, by name; the tensors are the live ones."""
        found: dict[str, Tensor] = {}
        for index, watched in enumerate(self.watched):
            found |= {f"{index}.{name}": value for name, value in watched.tensors().items()}
        return found


class Held:
    """Weights of stopped operations, put back after an optimizer step so that neither momentum nor decay moves them."""

    def __init__(self, entries: list[tuple[Owned, Tensor, Tensor]]) -> None:
        self.entries = entries

    @torch.no_grad()
    def restore(self) -> None:
        """Undo the step for stopped operations."""
        for owned, mask, before in self.entries:
            owned.parameter.copy_(torch.where(mask, before, owned.parameter))


class Watched:
    """The candidates of one mixture: S copies by K candidates."""

    def __init__(self, place: PlacedMixture) -> None:
        self.place = place
        self.owned = place.mixture.owned()
        shape = (len(place.cells), len(place.positions))
        ones = [owned.per_candidate(torch.ones_like(owned.parameter), shape[1]) for owned in self.owned]
        self.counts = torch.stack(ones).sum(0).detach()
        self.products = torch.zeros(3, *shape)  # smoothed: train . valid, train . train, valid . valid
        self.strikes = torch.zeros(shape, dtype=torch.long)
        self.stopped_at = torch.full(shape, -1, dtype=torch.long)
        self.recorded: list[Tensor] = [torch.zeros_like(owned.parameter) for owned in self.owned]

    def tensors(self) -> dict[str, Tensor]:
        state = {"products": self.products, "strikes": self.strikes, "stopped_at": self.stopped_at}
        return state | {f"recorded.{i}": value for i, value in enumerate(self.recorded)}

    @torch.no_grad()
    def record(self) -> None:
        for kept, owned in zip(self.recorded, self.owned, strict=True):
            if owned.parameter.grad is not None:
                kept.copy_(owned.parameter.grad)

    @torch.no_grad()
    def check(self, step: int, settings: SearchSettings) -> None:
        now = torch.zeros_like(self.products)
        for train, owned in zip(self.recorded, self.owned, strict=True):
            valid = owned.parameter.grad
            if valid is None:
                return
            for row, product in enumerate((train * valid, train * train, valid * valid)):
                now[row] += owned.per_candidate(product, self.counts.shape[1])
        self.products.lerp_(now, 1.0 if not self.products.any() else 2 / (settings.stop_smoothing + 1))
        over = (self.difference() > settings.stop_threshold) & (self.counts >= SMALL)
        self.strikes.add_(1).mul_(over)
        new = (self.strikes >= settings.stop_patience) & (self.stopped_at < 0)
        self.stopped_at.masked_fill_(new, step)

    def difference(self) -> Tensor:
        """(S, K) one minus the cosine of the smoothed gradients; 0 before the first check."""
        dot, train, valid = self.products
        scale = (train * valid).sqrt()
        return torch.where(scale > 0, 1 - dot / scale.clamp(min=1e-30), torch.zeros_like(dot))

    def hold(self) -> list[tuple[Owned, Tensor, Tensor]]:
        stopped = self.stopped_at >= 0
        if not stopped.any():
            return []
        return [(owned, owned.spread(stopped), owned.parameter.detach().clone()) for owned in self.owned]

    def stopped_entries(self) -> list[dict[str, Any]]:
        return [
            {
                "choice": self.place.choice,
                "cell": self.place.cells[copy],
                "option": self.place.positions[candidate],
                "step": int(self.stopped_at[copy, candidate]),
            }
            for copy, candidate in torch.nonzero(self.stopped_at >= 0).tolist()
        ]
