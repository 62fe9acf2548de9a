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

    def lone(self, x: Tensor, candidate: int) -> Tensor:
        """The output of one candidate that weighs 1, as in a derived model. A family may know a shorter way."""
        return self(x, x.new_ones(self.copies(x), 1), (candidate,))  # type: ignore[no-any-return]

    def copies(self, x: Tensor) -> int:
        """S, where it must be told from the parameters or, for a family without any, from the input."""
        first = next(self.parameters(), None)
        return x.shape[0] if first is None else first.shape[0]

    def owned(self, candidate: int) -> list[nn.Parameter]:
        """Parameters that are this candidate's alone; none by default."""
        return []
