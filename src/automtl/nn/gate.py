"""Gating networks: experts to tasks (Ma et al., KDD 2018, eq. 5-6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.nn.stacked import StackedLinear, uniform


class Gate(nn.Module):
    """Mixes for each of T targets its experts by a softmax: x (B, I), experts (E, B, H) -> (T, B, H)."""

    closed: Tensor

    def __init__(
        self, in_dim: int, num_experts: int, allowed: Sequence[Sequence[int]], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.register_buffer("closed", closed_experts(num_experts, allowed), persistent=False)
        self.partial = bool(self.closed.any())
        self.weight = uniform((in_dim, len(allowed) * num_experts), in_dim, generator)
        self.bias = nn.Parameter(torch.zeros(len(allowed), num_experts))

    def shares(self, x: Tensor) -> Tensor:
        """Return the weights (B, T, E) of the experts. The softmax runs along rows, where it is ten times as fast."""
        score = torch.addmm(self.bias.view(-1), x, self.weight)
        score = score.T.contiguous().view(*self.closed.shape, x.shape[0])  # (T, E, B)
        if self.partial:
            score = score.masked_fill(self.closed.unsqueeze(2), float("-inf"))
        return score.softmax(dim=1).permute(2, 0, 1)

    @torch.no_grad()
    def copy_from(self, wide: Gate, experts: Sequence[int]) -> None:
        """Copy the scores of some experts, in order, from a gate of more experts and the same targets.

        A gate that has the targets several times over gets copies.
        """
        num_targets, num_experts = wide.closed.shape
        copies = len(self.closed) // num_targets
        scores = wide.weight.view(-1, num_targets, num_experts)[:, :, list(experts)]
        self.weight.copy_(scores.repeat(1, copies, 1).flatten(1))
        self.bias.copy_(wide.bias[:, list(experts)].repeat(copies, 1))

    def forward(self, x: Tensor, experts: Tensor) -> Tensor:
        shares = self.shares(x).contiguous()
        mixed = torch.bmm(shares, experts.transpose(0, 1).to(shares.dtype))  # (B, T, H)
        return mixed.transpose(0, 1).contiguous()


class StackedGate(nn.Module):
    """Mixes experts for each of T targets by its own input: x (T, B, I), experts (E, B, H) -> (T, B, H)."""

    closed: Tensor

    def __init__(
        self, in_dim: int, num_experts: int, allowed: Sequence[Sequence[int]], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.register_buffer("closed", closed_experts(num_experts, allowed), persistent=False)
        self.score = StackedLinear(len(allowed), in_dim, num_experts, generator)

    def shares(self, x: Tensor) -> Tensor:
        """Return the weights (T, B, E) of the experts."""
        score: Tensor = self.score(x)
        return score.masked_fill(self.closed.unsqueeze(1), float("-inf")).softmax(dim=2)

    def forward(self, x: Tensor, experts: Tensor) -> Tensor:
        return torch.einsum("tbe,ebh->tbh", self.shares(x), experts)


def closed_experts(num_experts: int, allowed: Sequence[Sequence[int]]) -> Tensor:
    """Mark the experts that a target may not use, (T, E)."""
    closed = torch.ones(len(allowed), num_experts, dtype=torch.bool)
    for target, experts in enumerate(allowed):
        closed[target, list(experts)] = False
    return closed
