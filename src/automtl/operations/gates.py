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

    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(candidates: Sequence[BitGate], stack: int, shape: BlockShape, generator: torch.Generator) -> Mixture:
        from automtl.nn.interaction import FieldBitGate
        from automtl.nn.mixture import SeparateCandidates

        return SeparateCandidates([FieldBitGate(shape, generator)])


@dataclass(frozen=True)
class VectorGate(Operation):
    """One gate for each field."""

    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(candidates: Sequence[VectorGate], stack: int, shape: BlockShape, generator: torch.Generator) -> Mixture:
        from automtl.nn.interaction import FieldVectorGate
        from automtl.nn.mixture import SeparateCandidates

        return SeparateCandidates([FieldVectorGate(shape, generator)])


@dataclass(frozen=True)
class HiddenGate(Operation):
    """A gate for each element of the hidden vector."""

    blocks = (Block.LAYER,)

    @staticmethod
    def mixture(candidates: Sequence[HiddenGate], stack: int, shape: BlockShape, generator: torch.Generator) -> Mixture:
        from automtl.nn.layers import StackedHiddenGate
        from automtl.nn.mixture import SeparateCandidates

        return SeparateCandidates([StackedHiddenGate(stack, shape, generator)])
