"""Many copies of a linear map, run as one kernel. S: copies, B: rows, K: segments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from automtl.nn.dropout import Dropout


def uniform(shape: Sequence[int], fan_in: int, generator: torch.Generator) -> nn.Parameter:
    """A parameter drawn from U(-b, b) with b = sqrt(1 / fan_in), by the generator given."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound, generator=generator))


class StackedLinear(nn.Module):
    """S independent linear maps: x (S, B, in) -> (S, B, out)."""

    def __init__(self, stack: int, in_dim: int, out_dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((stack, in_dim, out_dim), in_dim, generator)
        self.bias = nn.Parameter(torch.zeros(stack, 1, out_dim))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


def joined(parts: Sequence[Tensor], dim: int) -> Tensor:
    """The parts one after another; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=dim)


def segments(sizes: Sequence[int]) -> Tensor:
    """(sum(sizes),) the index of the segment that each unit belongs to."""
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(list(sizes)))


class StackedPerceptron(nn.Module):
    """S multi-layer perceptrons with ReLU between layers: (S, B, in) -> (S, B, sizes[-1])."""

    def __init__(
        self, stack: int, in_dim: int, sizes: Sequence[int], generator: torch.Generator, *,
        activate_last: bool = False, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        dims = [in_dim, *sizes]
        pairs = pairwise(dims)
        self.layers = nn.ModuleList(StackedLinear(stack, a, b, generator) for a, b in pairs)
        self.activate_last = activate_last
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < last or self.activate_last:
                x = self.dropout(torch.relu(x))
        return x
