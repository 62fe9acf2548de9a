"""Fields to a vector: the first block of an expert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automtl.operations.base import Block, BlockShape, Operation

if TYPE_CHECKING:
    import torch

    from automtl.nn.mixture import Mixture


@dataclass(frozen=True)
class FieldPooling(Operation):
    """A weighted sum over fields; where D differs from H one linear map, shared by this family, follows."""

    blocks = (Block.POOLING,)

    def multiply_adds(self, shape: BlockShape) -> int:
        return 0 if shape.dim == shape.width else shape.dim * shape.width

    @staticmethod
    def mixture(
        candidates: Sequence[FieldPooling], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> Mixture:
        from automtl.nn.pooling import FieldPoolingMixture

        return FieldPoolingMixture([c.name for c in candidates], stack, shape, generator)


@dataclass(frozen=True)
class SumPooling(FieldPooling):
    """The sum over fields."""

    name = "sum"


@dataclass(frozen=True)
class AveragePooling(FieldPooling):
    """The mean over fields."""

    name = "average"


@dataclass(frozen=True)
class AttentivePooling(FieldPooling):
    """Fields by attention: softmax of v tanh(W e) (Lin et al., ICLR 2017, eq. 5)."""

    name = "attentive"

    def multiply_adds(self, shape: BlockShape) -> int:
        return super().multiply_adds(shape) + shape.fields * (shape.dim**2 + 2 * shape.dim)


@dataclass(frozen=True)
class LinearPooling(Operation):
    """A linear map of the flattened fields."""

    name = "linear"
    blocks = (Block.POOLING,)

    def multiply_adds(self, shape: BlockShape) -> int:
        return shape.fields * shape.dim * shape.width

    @staticmethod
    def mixture(
        candidates: Sequence[LinearPooling], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> Mixture:
        from automtl.nn.pooling import LinearPoolingMixture

        return LinearPoolingMixture(stack, shape, generator)
