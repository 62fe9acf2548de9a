"""Mixtures of poolings: fields, shared (B, F, D) or an expert's own (S, B, F, D), to hidden vectors (S, B, H)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.nn.interaction import normalized
from automtl.nn.mixture import Mixture
from automtl.nn.shape import BlockShape
from automtl.nn.stacked import StackedLinear, chosen, layer, uniform


class FieldPoolingMixture(Mixture):
    """Sum, average and attentive pooling: weighted sums over fields, whose weights add up before one product."""

    constant: Tensor
    attends: Tensor

    def __init__(self, kinds: Sequence[str], stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        shares = {"sum": 1.0, "average": 1.0 / shape.fields, "attentive": 0.0}
        self.register_buffer("constant", torch.tensor([shares[kind] for kind in kinds]), persistent=False)
        attends = torch.tensor([float(kind == "attentive") for kind in kinds])
        self.register_buffer("attends", attends, persistent=False)
        self.kinds = tuple(kinds)
        self.attentive = kinds.index("attentive") if "attentive" in kinds else None
        if self.attentive is not None:
            self.hidden = StackedLinear(stack, shape.dim, shape.dim, generator)
            self.score = uniform((stack, shape.dim, 1), shape.dim, generator)
        self.stack = stack
        same = shape.dim == shape.width
        self.map = None if same else uniform((stack, shape.dim, shape.width), shape.dim, generator)

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        pooled = (weights @ chosen(self.constant, active)).reshape(-1, 1, 1) * x.sum(dim=-2)  # (S, B, D)
        if self.attentive in active:
            pooled = pooled + (weights @ chosen(self.attends, active)).reshape(-1, 1, 1) * self._attend(x)
        return pooled if self.map is None else torch.bmm(pooled, self.map)

    def single(self, x: Tensor, candidate: int) -> Tensor:
        if candidate == self.attentive:
            pooled = self._attend(x)
        else:
            pooled = x.mean(dim=-2) if self.kinds[candidate] == "average" else x.sum(dim=-2)
        if self.map is None:
            return pooled if pooled.dim() == 3 else pooled.expand(self.stack, -1, -1)
        return torch.bmm(pooled if pooled.dim() == 3 else pooled.expand(self.stack, -1, -1), self.map)

    def _attend(self, x: Tensor) -> Tensor:
        """Sum the fields by softmax(v tanh(W e)): (S, B, D)."""
        if x.dim() == 3:
            return torch.bmm(self._shared_scores(x).softmax(dim=2), x).transpose(0, 1)
        stack, rows, fields, dim = x.shape
        hidden = torch.tanh(self.hidden(x.reshape(stack, rows * fields, dim)))
        share = torch.bmm(hidden, self.score).reshape(stack, rows, fields).softmax(dim=2)
        return (share.unsqueeze(2) @ x).squeeze(2)

    def _shared_scores(self, x: Tensor) -> Tensor:
        """Score fields that all copies read by v tanh(W e), in one product: (B, S, F)."""
        rows, fields, dim = x.shape
        weight, bias = self.hidden.weight.transpose(1, 2).flatten(0, 1), self.hidden.bias.reshape(-1, 1)  # (S D, D)
        hidden = torch.tanh(torch.addmm(bias, weight, x.reshape(-1, dim).T)).view(self.stack, dim, -1)
        return torch.bmm(self.score.transpose(1, 2), hidden).view(self.stack, rows, fields).transpose(0, 1)

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return [*self.hidden.parameters(), self.score] if candidate == self.attentive else []

    def shared_parameters(self) -> list[nn.Parameter]:
        return [] if self.map is None else [self.map]


class LinearPoolingMixture(Mixture):
    """One product maps the flattened fields for all experts."""

    def __init__(self, stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        flat = shape.fields * shape.dim
        self.weight = uniform((stack, flat, shape.width), flat, generator)
        self.bias = nn.Parameter(torch.zeros(stack, 1, shape.width))

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        scaled = self.weight * weights.unsqueeze(2)
        if x.dim() == 4:
            return torch.baddbmm(self.bias * weights.unsqueeze(2), x.flatten(2), scaled)
        matrix = scaled.transpose(0, 1).flatten(1)  # (F D, S H)
        mapped = (x.flatten(1) @ matrix).reshape(x.shape[0], len(weights), -1).transpose(0, 1)  # (S, B, H)
        return mapped + self.bias * weights.unsqueeze(2)

    def single(self, x: Tensor, candidate: int) -> Tensor:
        return layer(x.flatten(-2), self.weight, self.bias)

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return [self.weight, self.bias]


class StackedMultiHeadPooling(nn.Module):
    """Heads of attentive pooling: the sums over fields by softmax(v_h tanh(W e)) of all heads h, then a linear map.

    Lin et al., ICLR 2017, eq. 5-6. As many numbers as heads times D reach the map, where one head passes only D.
    """

    def __init__(self, heads: int, stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = StackedLinear(stack, shape.dim, shape.dim, generator)
        self.score = uniform((stack, shape.dim, heads), shape.dim, generator)
        self.map = StackedLinear(stack, heads * shape.dim, shape.width, generator)

    def forward(self, x: Tensor) -> Tensor:
        fields, dim = x.shape[-2:]
        stack, _, heads = self.score.shape
        hidden = torch.tanh(self.hidden(x.flatten(-3, -2)))  # (S, B F, D)
        share = torch.bmm(hidden, self.score).view(stack, -1, fields, heads).softmax(dim=2)  # (S, B, F, heads)
        if x.dim() == 4:
            pooled = share.transpose(2, 3) @ x  # (S, B, heads, D)
        else:
            rows = share.permute(1, 0, 3, 2).reshape(x.shape[0], stack * heads, fields)
            pooled = torch.bmm(rows, x).view(-1, stack, heads, dim).transpose(0, 1)
        mapped: Tensor = self.map(pooled.flatten(2))
        return mapped


class StackedBilinearPooling(nn.Module):
    """Second-order pooling: a linear map of the sum over i < j of u_i u_j^T, u the fields of the normalised row.

    The sum of pairs is half of (s s^T - X^T X), s the sum of fields, as in the bi-interaction of He and Chua (SIGIR
    2017), which is its diagonal. It is symmetric, and divided by F, which keeps its variance.
    """

    def __init__(self, stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.map = StackedLinear(stack, shape.dim**2, shape.width, generator)

    def forward(self, x: Tensor) -> Tensor:
        unit = normalized(x)
        total = unit.sum(dim=-2)  # (B, D) or (S, B, D)
        squares = unit.transpose(-1, -2) @ unit  # (B, D, D) or (S, B, D, D)
        pairs = (total.unsqueeze(-1) * total.unsqueeze(-2) - squares) / x.shape[-2]
        mapped: Tensor = self.map(pairs.flatten(-2))
        return mapped
