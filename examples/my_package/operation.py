"""A candidate operation, named in the settings: `space: {expert_layers: [skip, "my_package.operation:GatedMLP-16"]}`.

S stacked experts, B rows, H width, U hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automtl import Operation
from automtl.nn.stacked import StackedLinear
from automtl.operations import Block, BlockShape


@dataclass(frozen=True)
class GatedMLP(Operation):
    """Hidden layer gated by SiLU (Shazeer, "GLU variants improve transformer", 2020)."""

    blocks = (Block.LAYER,)

    hidden: int

    @staticmethod
    def mixture(
        candidates: Sequence[GatedMLP], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> list[nn.Module]:
        return [GatedLayer(stack, shape.width, candidate.hidden, generator) for candidate in candidates]


class GatedLayer(nn.Module):
    """One candidate, for S experts at once: (S, B, H) -> (S, B, H)."""

    def __init__(self, stack: int, width: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.gate = StackedLinear(stack, width, hidden, generator)
        self.value = StackedLinear(stack, width, hidden, generator)
        self.contract = StackedLinear(stack, hidden, width, generator)

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.silu(self.gate(x)) * self.value(x)  # (S, B, U)
        out: Tensor = self.contract(hidden)
        return out
