"""The module that runs candidates of one family as a weighted sum. S stacked experts, B rows, K candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from automtl.errors import SpaceError


class Mixture(nn.Module, ABC):
    """Candidates of one family, side by side in one module.

    Each of its parameters is one candidate's, with the stack (S) as dimension 0, or is shared by all candidates.
    Candidates that have no product in common are `SeparateCandidates`, which need no class of their own.
    """

    @abstractmethod
    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        """Sum the outputs of the candidates `active` by weights (S, len(active)); must be linear in the weights."""

    @abstractmethod
    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        """Return the parameters of this candidate alone, in an order that does not depend on other candidates."""

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that all candidates read."""
        return []

    def single(self, x: Tensor, candidate: int) -> Tensor:
        """Run one candidate of weight 1, as in a derived model; a family may have a shorter way."""
        stack = next(self.parameters()).shape[0]
        return self(x, x.new_ones(stack, 1), (candidate,))  # type: ignore[no-any-return]


class SeparateCandidates(Mixture):
    """Candidates that are run one after another, each a module of its own from the input to its output."""

    def __init__(self, candidates: Iterable[nn.Module]) -> None:
        super().__init__()
        self.candidates = nn.ModuleList(candidates)

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        first, *others = (
            self.single(x, candidate) * weights[:, place].reshape(-1, 1, 1) for place, candidate in enumerate(active)
        )
        return sum(others, start=first)

    def single(self, x: Tensor, candidate: int) -> Tensor:
        return self.candidates[candidate](x)  # type: ignore[no-any-return]

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return list(self.candidates[candidate].parameters())


def check_mixture(mixture: Mixture, candidates: Sequence[object], stack: int) -> None:
    """Raise SpaceError unless each parameter is one candidate's or declared as shared, and nothing else is saved.

    A parameter that is neither would be lost where candidates are pruned or a model is derived.
    """
    owner = {id(parameter): "all candidates" for parameter in mixture.shared_parameters()}
    for place, candidate in enumerate(candidates):
        for parameter in mixture.parameters_of(place):
            other = owner.setdefault(id(parameter), str(candidate))
            if other != str(candidate):
                raise SpaceError(f"operation '{candidate}': parameters_of names a parameter of {other}, too")
            if not parameter.dim() or parameter.shape[0] != stack:
                raise SpaceError(
                    f"operation '{candidate}': a parameter of shape {tuple(parameter.shape)} lacks the copies of "
                    f"{stack} stacked experts; make them its dimension 0"
                )
    named = dict(mixture.named_parameters(remove_duplicate=False))
    for name in mixture.state_dict():
        if name not in named:
            raise SpaceError(
                f"operation '{candidates[0]}': buffer '{name}' would be saved, but is not learned; register it with "
                "persistent=False, or make it a parameter"
            )
        if id(named[name]) not in owner:
            raise SpaceError(
                f"operation '{candidates[0]}': parameter '{name}' is neither in parameters_of a candidate "
                "nor in shared_parameters"
            )
