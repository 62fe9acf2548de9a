"""Expert layers: (S, B, H) -> (S, B, H)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.nn.mixture import Mixture
from automtl.nn.perceptron import perceptron
from automtl.nn.shape import BlockShape
from automtl.nn.stacked import StackedLinear, entry, joined, layer, uniform


class MLPMixture(Mixture):
    """Perceptrons whose hidden layers lie side by side: one product expands, one maps and sums."""

    def __init__(self, hidden: Sequence[int], stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden, width = tuple(hidden), shape.width
        self.expand = nn.ParameterList(uniform((stack, width, size), width, generator) for size in hidden)
        self.expand_bias = nn.ParameterList(nn.Parameter(torch.zeros(stack, 1, size)) for size in hidden)
        self.contract = nn.ParameterList(uniform((stack, size, width), size, generator) for size in hidden)
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(stack, 1, width)) for _ in hidden)

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        share = joined([weights[:, k : k + 1].expand(-1, self.hidden[i]) for k, i in enumerate(active)], 1)  # of units
        bias = weights.unsqueeze(1) @ joined([self.bias[i] for i in active], 1)  # (S, 1, H)
        expand = joined([self.expand[i] for i in active], 2)
        expand_bias = joined([self.expand_bias[i] for i in active], 2)
        return perceptron(x, expand, expand_bias, joined([self.contract[i] for i in active], 1), share, bias)

    def single(self, x: Tensor, candidate: int) -> Tensor:
        hidden = layer(x, entry(self.expand, candidate), entry(self.expand_bias, candidate), activate=True)
        return layer(hidden, entry(self.contract, candidate), entry(self.bias, candidate))

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return [parts[candidate] for parts in (self.expand, self.expand_bias, self.contract, self.bias)]


class StackedHiddenGate(nn.Module):
    """Hidden gate: x * sigmoid(W x + b) (GateNet, eq. 8-9)."""

    def __init__(self, stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.gate = StackedLinear(stack, shape.width, shape.width, generator)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.gate(x))


class StackedGatedLinearUnit(nn.Module):
    """Gated linear unit: (silu(x G) * (x V)) W (Shazeer 2020, eq. 6, with biases)."""

    def __init__(self, hidden: int, stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.expand = StackedLinear(stack, shape.width, 2 * hidden, generator)
        self.contract = StackedLinear(stack, hidden, shape.width, generator)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.expand(x).chunk(2, dim=2)  # (S, B, hidden) each
        mapped: Tensor = self.contract(nn.functional.silu(gate) * value)
        return mapped


class ConvolutionMixture(Mixture):
    """Convolutions, of which the weighted sum of the kernels, padded to one size, is the mixture.

    The product with the band matrix of that kernel is one batched product.
    """

    band: Tensor

    def __init__(self, kernels: Sequence[int], stack: int, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.widest = max(kernels)
        self.weight = nn.ParameterList(uniform((stack, size), size, generator) for size in kernels)
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(stack, 1)) for _ in kernels)
        place = torch.arange(shape.width)
        shift = place.unsqueeze(1) - place + self.widest // 2  # (H in, H out)
        band = (shift.flatten() == torch.arange(self.widest).unsqueeze(1)).float()
        self.register_buffer("band", band, persistent=False)  # (widest, H H): where each tap stands

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        kernel = torch.stack([self._padded(i) for i in active], dim=1)  # (S, len(active), widest)
        matrix = ((weights.unsqueeze(1) @ kernel).squeeze(1) @ self.band).reshape(len(kernel), x.shape[2], x.shape[2])
        bias = (weights * joined([self.bias[i] for i in active], 1)).sum(dim=1)
        return torch.baddbmm(bias.reshape(-1, 1, 1), x, matrix)

    def single(self, x: Tensor, candidate: int) -> Tensor:
        kernel, width = entry(self.weight, candidate), x.shape[2]
        spare = (self.widest - kernel.shape[1]) // 2
        matrix = (kernel @ self.band[spare : self.widest - spare]).view(-1, width, width)
        return torch.baddbmm(entry(self.bias, candidate).unsqueeze(2), x, matrix)

    def _padded(self, candidate: int) -> Tensor:
        weight = self.weight[candidate]
        spare = (self.widest - weight.shape[1]) // 2
        return nn.functional.pad(weight, (spare, spare))

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return [self.weight[candidate], self.bias[candidate]]
