"""The module that runs candidates of one family as a weighted sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Mixture(nn.Module, ABC):
    """Candidates of one family, side by side. Parameters that are one candidate's have the stack (S) as dimension 0."""

    @abstractmethod
    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        """The sum of the outputs of the candidates `active` by weights (S, len(active)); linear in the weights."""

    def owned(self, candidate: int) -> list[nn.Parameter]:
        """Parameters that are this candidate's alone; none by default."""
        return []
