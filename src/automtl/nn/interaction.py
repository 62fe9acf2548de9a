"""Mixtures of feature interactions: (B, F, D) -> (B, F, D). The stack is one: all experts share this block."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.nn.mixture import Mixture, Owned
from automtl.nn.shape import CROSS_RANK, BlockShape
from automtl.nn.stacked import uniform


def _whole(parameter: nn.Parameter) -> Owned:
    """All of a parameter (1, n, ...) belongs to the family's only candidate."""
    return Owned(parameter, 1, torch.zeros(parameter.shape[1], dtype=torch.long))


class InnerProductMixture(Mixture):
    """e_i + P_i W with P_ij = e_i . e_j, W: (F, D) (PNN, eq. 8, without its dense map)."""

    def __init__(self, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((1, shape.fields, shape.dim), shape.fields, generator)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        products = torch.bmm(x, x.transpose(1, 2))  # (B, F, F)
        return (x + products @ self.weight[0]) * weights.sum()

    def owned(self) -> list[Owned]:
        return [_whole(self.weight)]


class OuterProductMixture(Mixture):
    """e_i + e_i (s s^T) W with s the sum of the fields (PNN, eq. 12): (e_i . s) (s W), no D x D matrix a row."""

    def __init__(self, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((1, shape.dim, shape.dim), shape.dim * shape.fields**2, generator)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        total = x.sum(dim=1, keepdim=True)  # (B, 1, D)
        along = torch.bmm(x, total.transpose(1, 2))  # (B, F, 1)
        return (x + along * (total @ self.weight[0])) * weights.sum()

    def owned(self) -> list[Owned]:
        return [_whole(self.weight)]


class BitGateMixture(Mixture):
    """e_i * sigmoid(W_i e_i), a matrix for each field (GateNet, eq. 4-5)."""

    def __init__(self, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((1, shape.fields, shape.dim, shape.dim), shape.dim, generator)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        score = torch.bmm(x.transpose(0, 1), self.weight[0]).transpose(0, 1)  # (B, F, D)
        return x * torch.sigmoid(score) * weights.sum()

    def owned(self) -> list[Owned]:
        return [_whole(self.weight)]


class VectorGateMixture(Mixture):
    """e_i * sigmoid(w_i . e_i), a vector for each field (GateNet, eq. 2-3)."""

    def __init__(self, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((1, shape.fields, shape.dim), shape.dim, generator)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        score = (x * self.weight).sum(dim=2, keepdim=True)
        return x * torch.sigmoid(score) * weights.sum()

    def owned(self) -> list[Owned]:
        return [_whole(self.weight)]


class CrossMixture(Mixture):
    """x_{l+1} = x_0 * (U_l V_l x_l + b_l) + x_l (DCN-V2, eq. 2), networks of all depths side by side.

    Networks are ordered by depth, so those that go on after a layer are a tail of the stack.
    """

    def __init__(self, depths: Sequence[int], shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.order = sorted(range(len(depths)), key=lambda index: depths[index])
        self.first = [
            next(i for i, index in enumerate(self.order) if depths[index] > layer) for layer in range(max(depths))
        ]
        flat, count = shape.fields * shape.dim, len(depths)
        self.down = nn.ParameterList(
            uniform((1, count - first, flat, CROSS_RANK), flat, generator) for first in self.first
        )
        self.up = nn.ParameterList(
            uniform((1, count - first, CROSS_RANK, flat), CROSS_RANK, generator) for first in self.first
        )
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(1, count - first, flat)) for first in self.first)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        start = x.flatten(1)  # (B, F D)
        states: Tensor = start.unsqueeze(0).expand(len(self.order), -1, -1)
        ordered = weights[0, self.order]
        out, done = torch.zeros_like(start), 0
        for layer, first in enumerate(self.first):
            out = out + torch.einsum("k,kbn->bn", ordered[done:first], states[: first - done])
            states = states[first - done :]
            cross = torch.bmm(torch.bmm(states, self.down[layer][0]), self.up[layer][0])
            states = torch.addcmul(states, start, cross + self.bias[layer][0].unsqueeze(1))
            done = first
        return (out + torch.einsum("k,kbn->bn", ordered[done:], states)).reshape(x.shape)

    def owned(self) -> list[Owned]:
        found = []
        for first, *parameters in zip(self.first, self.down, self.up, self.bias, strict=True):
            owner = torch.tensor(self.order[first:])
            found += [Owned(parameter, 1, owner) for parameter in parameters]
        return found


class AttentionMixture(Mixture):
    """ReLU(attention(e) W_out + e W_res), heads of size max(1, D // heads) (AutoInt, eq. 5-8)."""

    def __init__(self, heads: Sequence[int], shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.heads = tuple(heads)
        sizes = [count * max(1, shape.dim // count) for count in heads]
        dim = shape.dim
        self.project = nn.ParameterList(uniform((1, dim, 3 * size), dim, generator) for size in sizes)
        self.out = nn.ParameterList(uniform((1, size, dim), size, generator) for size in sizes)
        self.residual = nn.ParameterList(uniform((1, dim, dim), dim, generator) for _ in sizes)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        total: Tensor | None = None
        for index, heads in enumerate(self.heads):
            mixed = torch.relu(self._attend(x, index, heads) + x @ self.residual[index][0]) * weights[0, index]
            total = mixed if total is None else total + mixed
        assert total is not None
        return total

    def _attend(self, x: Tensor, index: int, heads: int) -> Tensor:
        parts = (x @ self.project[index][0]).reshape(*x.shape[:2], 3, heads, -1)  # (B, F, 3, heads, size)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(query, key, value)  # (B, heads, F, size)
        mapped: Tensor = found.transpose(1, 2).flatten(2) @ self.out[index][0]
        return mapped

    def owned(self) -> list[Owned]:
        return [
            Owned(parameter, 1, torch.full((parameter.shape[1],), index))
            for parts in (self.project, self.out, self.residual)
            for index, parameter in enumerate(parts)
        ]
