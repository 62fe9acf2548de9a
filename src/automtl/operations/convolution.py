"""One-dimensional convolution over the hidden vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automtl.errors import SpaceError
from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class Convolution(Operation):
    """One channel; `kernel` is odd, so that the padding is the same on both sides."""

    blocks = (Block.LAYER,)

    kernel: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise SpaceError(f"operation '{self}': the kernel must be odd, so that both sides are padded alike")

    @staticmethod
    def mixture(candidates: Sequence[Convolution], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.layers import ConvolutionMixture

        return ConvolutionMixture([c.kernel for c in candidates], stack, shape, generator)
