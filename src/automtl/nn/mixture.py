"""The module that runs all candidates of one family as a weighted sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Owned:
    """A parameter whose entries along `dim` belong to candidates `owner` (n,); dimension 0 is the stack (S)."""

    parameter: nn.Parameter
    dim: int
    owner: Tensor

    def per_candidate(self, values: Tensor, num_candidates: int) -> Tensor:
        """Sum of `values`, shaped as the parameter, over what each copy's candidate owns: (S, K)."""
        other = [d for d in range(1, values.dim()) if d != self.dim]
        by_unit = values.sum(dim=other) if other else values  # (S, n)
        zeros = torch.zeros(values.shape[0], num_candidates, dtype=values.dtype, device=values.device)
        return zeros.index_add_(1, self.owner.to(values.device), by_unit)

    def spread(self, values: Tensor) -> Tensor:
        """(S, K) values laid over the parameter's entries, ready to broadcast."""
        shape = [1] * self.parameter.dim()
        shape[0], shape[self.dim] = values.shape[0], len(self.owner)
        return values[:, self.owner.to(values.device)].reshape(shape)


class Mixture(nn.Module, ABC):
    """Candidates of one family. forward(x, weights (S, K)) is linear in the weights."""

    @abstractmethod
    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """The weighted sum of the candidates' outputs."""

    def owned(self) -> list[Owned]:
        """Parameters that belong to single candidates; none by default."""
        return []
