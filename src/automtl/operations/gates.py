"""Gates (Huang et al., GateNet, 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automtl.operations.base import Block, BlockShape, Operation

if TYPE_CHECKING:
    import torch

    from automtl.nn.mixture import Mixture


@dataclass(frozen=True)
class BitGate(Operation):
    """A gate for each element of each field's embedding."""

    name = "bit-gate"
    blocks = (Block.INTERACTION,)

    def multiply_adds(self, shape: BlockShape) -> int:
        return shape.fields * shape.dim**2

    @staticmethod
    def mixture(candidates: Sequence[BitGate], stack: int, shape: BlockShape, generator: torch.Generator) -> Mixture:
        from automtl.nn.interaction import BitGateMixture

        return BitGateMixture(shape, generator)


@dataclass(frozen=True)
class VectorGate(Operation):
    """One gate for each field."""

    name = "vector-gate"
    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(candidates: Sequence[VectorGate], stack: int, shape: BlockShape, generator: torch.Generator) -> Mixture:
        from automtl.nn.interaction import VectorGateMixture

        return VectorGateMixture(shape, generator)


@dataclass(frozen=True)
class HiddenGate(Operation):
    """A gate for each element of the hidden vector."""

    name = "hidden-gate"
    blocks = (Block.LAYER,)

    def multiply_adds(self, shape: BlockShape) -> int:
        return shape.width**2

    @staticmethod
    def mixture(candidates: Sequence[HiddenGate], stack: int, shape: BlockShape, generator: torch.Generator) -> Mixture:
        from automtl.nn.layers import HiddenGateMixture

        return HiddenGateMixture(stack, shape, generator)
