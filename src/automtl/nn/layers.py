"""Mixtures of expert layers: (S, B, H) -> (S, B, H)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.nn.mixture import Mixture, Owned
from automtl.nn.perceptron import perceptron
from automtl.nn.shape import BlockShape
from automtl.nn.stacked import SegmentedLinear, StackedLinear, uniform


class IdentityMixture(Mixture):
    """The input by weight; serves hidden vectors (S, B, H) and, with S of 1, fields (B, F, D)."""

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return x * weights.sum(dim=1).reshape(-1, 1, 1)


class MLPMixture(Mixture):
    """All hidden layers side by side: one product expands, one maps and sums."""

    def __init__(self, hidden: Sequence[int], stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.expand = StackedLinear(stack, shape.width, sum(hidden), generator)
        self.contract = SegmentedLinear(stack, hidden, shape.width, generator)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        share, bias = self.contract.share(weights), self.contract.mixed_bias(weights)
        return perceptron(x, self.expand.weight, self.expand.bias, self.contract.weight, share, bias)

    def owned(self) -> list[Owned]:
        units, candidates = self.contract.owner.argmax(dim=0), torch.arange(self.contract.bias.shape[1])
        return [
            Owned(self.expand.weight, 2, units), Owned(self.expand.bias, 2, units),
            Owned(self.contract.weight, 1, units), Owned(self.contract.bias, 1, candidates),
        ]  # fmt: skip


class HiddenGateMixture(Mixture):
    """x * sigmoid(W x + b) (GateNet, eq. 8-9)."""

    def __init__(self, stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.gate = StackedLinear(stack, shape.width, shape.width, generator)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return x * torch.sigmoid(self.gate(x)) * weights.unsqueeze(2)

    def owned(self) -> list[Owned]:
        owner = torch.zeros(self.gate.weight.shape[2], dtype=torch.long)
        return [Owned(self.gate.weight, 2, owner), Owned(self.gate.bias, 2, owner)]


class ConvolutionMixture(Mixture):
    """Convolutions are linear, so the weighted sum of the kernels, padded to one size, is the mixture.

    The product with the band matrix of that kernel is one batched product.
    """

    open: Tensor
    band: Tensor

    def __init__(self, kernels: Sequence[int], stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        widest = max(kernels)
        place = torch.arange(widest) - widest // 2
        mask = (place.abs() <= torch.tensor(kernels).unsqueeze(1) // 2).float()
        self.register_buffer("open", mask, persistent=False)  # (K, widest)
        weight = torch.stack([uniform((stack, widest), size, generator).detach() for size in kernels], dim=1)
        self.weight = nn.Parameter(weight * mask)  # (S, K, widest)
        self.bias = nn.Parameter(torch.zeros(stack, len(kernels)))
        shift = torch.arange(shape.width).unsqueeze(1) - torch.arange(shape.width) + widest // 2  # (H in, H out)
        band = (shift.flatten() == torch.arange(widest).unsqueeze(1)).float()
        self.register_buffer("band", band, persistent=False)  # (widest, H H): where each tap stands

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        kernel = (weights.unsqueeze(2) * self.weight * self.open).sum(dim=1)  # (S, widest)
        matrix = (kernel @ self.band).reshape(len(kernel), x.shape[2], x.shape[2])  # (S, H, H)
        return torch.baddbmm((weights * self.bias).sum(1).reshape(-1, 1, 1), x, matrix)

    def owned(self) -> list[Owned]:
        candidates = torch.arange(self.bias.shape[1])
        return [Owned(self.weight, 1, candidates), Owned(self.bias, 1, candidates)]
