"""Maxout units as layers of experts. S stacked experts, B rows, H width, P pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automtl import Operation
from automtl.nn.stacked import StackedLinear
from automtl.operations import Block, BlockShape


@dataclass(frozen=True)
class Maxout(Operation):
    """The greatest of `pieces` linear maps, unit by unit (Goodfellow et al., "Maxout networks", ICML 2013, eq. 1-2)."""

    blocks = (Block.LAYER,)

    pieces: int

    @staticmethod
    def mixture(
        candidates: Sequence[Maxout], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> list[nn.Module]:
        return [MaxoutLayer(candidate.pieces, stack, shape.width, generator) for candidate in candidates]


class MaxoutLayer(nn.Module):
    """One candidate, for S experts at once: max over p of (x W_p + b_p), (S, B, H) -> (S, B, H)."""

    def __init__(self, pieces: int, stack: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.pieces = pieces
        self.maps = StackedLinear(stack, width, pieces * width, generator)

    def forward(self, x: Tensor) -> Tensor:
        pieces = self.maps(x).unflatten(2, (self.pieces, -1))  # (S, B, P, H)
        out: Tensor = pieces.amax(dim=2)
        return out
