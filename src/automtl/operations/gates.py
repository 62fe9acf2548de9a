"""Gates (Huang et al., GateNet, 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class BitGate(Operation):
    """A gate for each element of each field's embedding."""

    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(candidates: Sequence[BitGate], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.interaction import FieldBitGate

        return [FieldBitGate(shape, generator)]


@dataclass(frozen=True)
class VectorGate(Operation):
    """One gate for each field."""

    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(candidates: Sequence[VectorGate], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.interaction import FieldVectorGate

        return [FieldVectorGate(shape, generator)]


@dataclass(frozen=True)
class HiddenGate(Operation):
    """A gate for each element of the hidden vector."""

    blocks = (Block.LAYER,)

    @staticmethod
    def mixture(candidates: Sequence[HiddenGate], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.layers import StackedHiddenGate

        return [StackedHiddenGate(stack, shape, generator)]
