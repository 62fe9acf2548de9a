"""One-dimensional convolution over the hidden vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automtl.operations.base import Block, BlockShape, Operation

if TYPE_CHECKING:
    import torch

    from automtl.nn.mixture import Mixture


@dataclass(frozen=True)
class Convolution(Operation):
    """One channel, same padding; `kernel` must be odd."""

    name = "conv"
    blocks = (Block.LAYER,)

    kernel: int

    def multiply_adds(self, shape: BlockShape) -> int:
        return shape.width**2  # run as a band matrix

    @staticmethod
    def mixture(
        candidates: Sequence[Convolution], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> Mixture:
        from automtl.nn.layers import ConvolutionMixture

        return ConvolutionMixture([c.kernel for c in candidates], stack, shape, generator)
