"""Pooling of several ids a row: values (B, L, D), of which (B, L) are given and the rest is padding, to (B, D).

Legend: B rows, L values of the longest row, D embedding size, P positions, H hidden units. A row without values is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.features.layout import MultiLayout
from automtl.nn.stacked import uniform

HIDDEN = 36  # units of the perceptron that compares a value with the target (DIN, section 5)


class ListPooling(nn.Module):
    """Mean, sum or maximum of the values; only sequences read the target (B, D)."""

    def __init__(self, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, values: Tensor, given: Tensor, target: Tensor | None) -> Tensor:
        present = given.unsqueeze(2)
        if self.pooling == "max":
            largest = values.masked_fill(~present, -torch.inf).amax(dim=1)
            return largest.masked_fill(~given.any(dim=1, keepdim=True), 0.0)
        share = present.to(values.dtype)
        total = (values * share).sum(dim=1)
        return total / share.sum(dim=1).clamp(min=1) if self.pooling == "mean" else total


class AttentiveListPooling(nn.Module):
    """Sums the values of a row by softmax(v tanh(W e)) (Lin et al., ICLR 2017, eq. 5)."""

    def __init__(self, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = uniform((dim, dim), dim, generator)
        self.score = uniform((dim,), dim, generator)

    def forward(self, values: Tensor, given: Tensor, target: Tensor | None) -> Tensor:
        score = torch.tanh(values @ self.hidden) @ self.score  # (B, L)
        return torch.einsum("bl,bld->bd", shares(score, given), values)


def places(given: Tensor, count: int) -> Tensor:
    """Count the places (B, L) of values from the newest one, which is the last given: 0, up to `count` - 1."""
    return (given.sum(dim=1, keepdim=True) - given.cumsum(dim=1)).clamp(max=count - 1)


def shares(score: Tensor, given: Tensor) -> Tensor:
    """Take the softmax of scores (B, L) over the values that are given; without any, all shares are 0."""
    return score.masked_fill(~given, torch.finfo(score.dtype).min).softmax(dim=1) * given


class TargetAttention(nn.Module):
    """Sums a sequence by what its values have in common with the target (DIN, Zhou et al., KDD 2018, eq. 3).

    Each value e weighs a(e + p, t), a perceptron of the two vectors and their product; the weights are not normalised,
    so that many related values count more than few. p is an embedding of the value's place, counted from the newest
    one, the last: it enters the weight alone. The paper's perceptron also reads e - t, which a linear layer on e and t
    contains; ReLU takes the place of its Dice. Where values have several ids, ours also reads which of these `aspects`
    are those of the target: vectors of a new network are too short to tell.
    """

    def __init__(
        self, dim: int, positions: int, generator: torch.Generator, *, aspects: int = 0, std: float = 0.01
    ) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.empty(positions, dim).normal_(0, std, generator=generator))
        self.of_value, self.of_target, self.of_product = (uniform((dim, HIDDEN), 3 * dim, generator) for _ in range(3))
        self.bias = nn.Parameter(torch.zeros(HIDDEN))
        self.score = uniform((HIDDEN,), HIDDEN, generator)
        self.of_same = uniform((aspects, HIDDEN), aspects, generator) if aspects else None

    def forward(self, values: Tensor, given: Tensor, target: Tensor | None) -> Tensor:
        assert target is not None
        return torch.einsum("bl,bld->bd", self.scores(values, given, target) * given, values)

    def scores(self, values: Tensor, given: Tensor, target: Tensor, same: Tensor | None = None) -> Tensor:
        """Return the weights (B, L) of values; same: (B, L, aspects) of 0 and 1."""
        key = values + self.place[places(given, len(self.place))]  # (B, L, D)
        asked = torch.addmm(self.bias, target, self.of_target).unsqueeze(1)  # (B, 1, H)
        hidden = asked + key @ self.of_value + (key * target.unsqueeze(1)) @ self.of_product  # (B, L, H)
        if self.of_same is not None and same is not None:
            hidden = hidden + same @ self.of_same
        return hidden.relu() @ self.score


def list_pooling(field: MultiLayout, dim: int, generator: torch.Generator) -> nn.Module:
    """Make the pooling that a field asks for."""
    if field.target is not None:
        return TargetAttention(dim, field.positions, generator)
    return AttentiveListPooling(dim, generator) if field.pooling == "attention" else ListPooling(field.pooling)
