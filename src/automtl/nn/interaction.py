"""Feature interactions: (B, F, D) -> (B, F, D). The stack has one copy: all experts share it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.nn.mixture import Mixture
from automtl.nn.shape import BlockShape
from automtl.nn.stacked import chosen, joined, uniform

CROSS_RANK = 32  # of the low-rank maps in a cross network
TINY = 1e-12  # under the root of a mean square, whose gradient at 0 would be infinite
FUSED_FIELDS = 128  # of more fields, attention keeps no scores: those of 1,024 rows and 8 heads take 0.3 GB in bf16


class FieldInnerProduct(nn.Module):
    """Inner products: e_i + P_i W with P_ij = e_i . e_j, W: (F, D) (PNN, eq. 8, without its dense map)."""

    def __init__(self, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((1, shape.fields, shape.dim), shape.fields, generator)

    def forward(self, x: Tensor) -> Tensor:
        products = torch.bmm(x, x.transpose(1, 2))  # (B, F, F)
        return x + products @ self.weight[0]


class FieldOuterProduct(nn.Module):
    """Outer products: e_i + e_i (s s^T) W, s the sum of the fields (PNN, eq. 12), as (e_i . s) (s W)."""

    def __init__(self, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((1, shape.dim, shape.dim), shape.dim * shape.fields**2, generator)

    def forward(self, x: Tensor) -> Tensor:
        total = x.sum(dim=1, keepdim=True)  # (B, 1, D)
        along = torch.bmm(x, total.transpose(1, 2))  # (B, F, 1)
        return x + along * (total @ self.weight[0])


def normalized(x: Tensor) -> Tensor:
    """Divide the fields of a row, (..., F, D), by their common root mean square."""
    return x * x.square().mean(dim=(-2, -1), keepdim=True).add(TINY).rsqrt()


class FieldScaledInnerProduct(nn.Module):
    """Inner products with the fields of a normalised row: e_i + P_i W with P_ij = e_i . u_j / sqrt(D), W: (F, D).

    u_j = e_j / r, r the root mean square of all fields of the row. What is added to a field is of its own size.
    """

    def __init__(self, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((1, shape.fields, shape.dim), shape.fields, generator)

    def forward(self, x: Tensor) -> Tensor:
        products = torch.bmm(x, normalized(x).transpose(1, 2)) * x.shape[2] ** -0.5  # (B, F, F)
        return torch.add(x, products @ self.weight[0])


class FieldBitGate(nn.Module):
    """Bit gate: e_i * sigmoid(W_i e_i), a matrix for each field (GateNet, eq. 4-5)."""

    def __init__(self, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((1, shape.fields, shape.dim, shape.dim), shape.dim, generator)

    def forward(self, x: Tensor) -> Tensor:
        score = torch.bmm(x.transpose(0, 1), self.weight[0]).transpose(0, 1)  # (B, F, D)
        return x * torch.sigmoid(score)


class FieldVectorGate(nn.Module):
    """Vector gate: e_i * sigmoid(w_i . e_i), a vector for each field (GateNet, eq. 2-3)."""

    def __init__(self, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((1, shape.fields, shape.dim), shape.dim, generator)

    def forward(self, x: Tensor) -> Tensor:
        score = (x * self.weight).sum(dim=2, keepdim=True)
        return x * torch.sigmoid(score)


class CrossMixture(Mixture):
    """Cross networks, x_{l+1} = x_0 * (U_l V_l x_l + b_l) + x_l (DCN-V2, eq. 2), of all depths side by side.

    Networks run in order of depth, so those that go on after a layer are a tail of the stack.
    """

    def __init__(self, depths: Sequence[int], shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.depths, flat = tuple(depths), shape.fields * shape.dim
        self.starts = [sum(depths[:index]) for index in range(len(depths))]  # of a network's layers in these lists:
        layers = range(sum(depths))
        self.down = nn.ParameterList(uniform((1, flat, CROSS_RANK), flat, generator) for _ in layers)
        self.up = nn.ParameterList(uniform((1, CROSS_RANK, flat), CROSS_RANK, generator) for _ in layers)
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(1, 1, flat)) for _ in layers)

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        order = sorted(range(len(active)), key=lambda place: self.depths[active[place]])
        candidates, ordered = [active[place] for place in order], chosen(weights[0], order)
        start = x.flatten(1)  # (B, F D)
        states: Tensor = start.unsqueeze(0).expand(len(order), -1, -1)
        out, done = torch.zeros_like(start), 0
        for level in range(self.depths[candidates[-1]]):
            first = next(i for i, candidate in enumerate(candidates) if self.depths[candidate] > level)
            out = out + torch.einsum("k,kbn->bn", ordered[done:first], states[: first - done])
            states, done = states[first - done :], first
            layers = [self.starts[candidate] + level for candidate in candidates[first:]]
            low = torch.bmm(states, joined([self.down[i] for i in layers], 0))
            up, bias = joined([self.up[i] for i in layers], 0), joined([self.bias[i] for i in layers], 0)
            states = torch.addcmul(states, start, torch.baddbmm(bias, low, up))
        return (out + torch.einsum("k,kbn->bn", ordered[done:], states)).reshape(x.shape)

    def single(self, x: Tensor, candidate: int) -> Tensor:
        start = state = x.flatten(1)
        for index in range(self.starts[candidate], self.starts[candidate] + self.depths[candidate]):
            low = state @ self.down[index][0]
            state = torch.addcmul(state, start, torch.addmm(self.bias[index][0], low, self.up[index][0]))
        return state.reshape(x.shape)

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        layers = range(self.starts[candidate], self.starts[candidate] + self.depths[candidate])
        return [parts[i] for i in layers for parts in (self.down, self.up, self.bias)]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute softmax(q k / sqrt(size)) v of each head; all are (B, heads, F, size).

    The fused kernel keeps no scores, but on a processor its gradient takes up to ten times as long in bf16, so that
    scores are kept where there is a gradient to take and they are not too many.
    """
    rows, heads, fields, size = query.shape
    if not query.requires_grad or fields > FUSED_FIELDS:
        return nn.functional.scaled_dot_product_attention(query, key, value)
    flat = [values.reshape(rows * heads, fields, size) for values in (query * size**-0.5, key, value)]
    scores = torch.bmm(flat[0], flat[1].transpose(1, 2))
    mixed = torch.bmm(scores.softmax(dim=2), flat[2])
    return mixed.view(rows, heads, fields, size)


class AttentionMixture(Mixture):
    """Self-attention, ReLU(attention(e) W_out + e W_res), heads of size max(1, D // heads) (AutoInt, eq. 5-8)."""

    def __init__(self, heads: Sequence[int], shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.heads = tuple(heads)
        sizes = [count * max(1, shape.dim // count) for count in heads]
        dim = shape.dim
        self.project = nn.ParameterList(uniform((1, dim, 3 * size), dim, generator) for size in sizes)
        self.out = nn.ParameterList(uniform((1, size, dim), size, generator) for size in sizes)
        self.residual = nn.ParameterList(uniform((1, dim, dim), dim, generator) for _ in sizes)

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        total: Tensor | None = None
        for place, index in enumerate(active):
            mixed = self.single(x, index) * weights[0, place]
            total = mixed if total is None else total + mixed
        assert total is not None
        return total

    def single(self, x: Tensor, candidate: int) -> Tensor:
        return torch.relu(self._attend(x, candidate, self.heads[candidate]) + x @ self.residual[candidate][0])

    def _attend(self, x: Tensor, index: int, heads: int) -> Tensor:
        parts = (x @ self.project[index][0]).reshape(*x.shape[:2], 3, heads, -1)  # (B, F, 3, heads, size)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found = attend(query, key, value)  # (B, heads, F, size)
        mapped: Tensor = found.transpose(1, 2).flatten(2) @ self.out[index][0]
        return mapped

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return [parts[candidate] for parts in (self.project, self.out, self.residual)]
