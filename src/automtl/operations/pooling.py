"""Poolings of fields to a vector, the first block of an expert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class FieldPooling(Operation):
    """A weighted sum over fields, then, where D differs from H, a linear map that this family shares."""

    blocks = (Block.POOLING,)
    kind: ClassVar[str]

    @staticmethod
    def mixture(candidates: Sequence[FieldPooling], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.pooling import FieldPoolingMixture

        return FieldPoolingMixture([c.kind for c in candidates], stack, shape, generator)


@dataclass(frozen=True)
class SumPooling(FieldPooling):
    """The sum over fields."""

    kind = "sum"


@dataclass(frozen=True)
class AveragePooling(FieldPooling):
    """The mean over fields."""

    kind = "average"


@dataclass(frozen=True)
class AttentivePooling(FieldPooling):
    """The sum over fields by softmax(v tanh(W e)) (Lin et al., ICLR 2017, eq. 5)."""

    kind = "attentive"


@dataclass(frozen=True)
class LinearPooling(Operation):
    """A linear map of the flattened fields."""

    blocks = (Block.POOLING,)

    @staticmethod
    def mixture(candidates: Sequence[LinearPooling], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.pooling import LinearPoolingMixture

        return LinearPoolingMixture(stack, shape, generator)


@dataclass(frozen=True)
class MultiHeadPooling(Operation):
    """Attentive pooling of `heads` heads side by side, then a linear map, so that the rank is not that of one field."""

    blocks = (Block.POOLING,)

    heads: int

    @staticmethod
    def mixture(candidates: Sequence[MultiHeadPooling], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.pooling import StackedMultiHeadPooling

        return [StackedMultiHeadPooling(c.heads, stack, shape, generator) for c in candidates]


@dataclass(frozen=True)
class BilinearPooling(Operation):
    """A linear map of the outer products of all pairs of fields, summed over the pairs."""

    blocks = (Block.POOLING,)

    @staticmethod
    def mixture(candidates: Sequence[BilinearPooling], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.pooling import StackedBilinearPooling

        return [StackedBilinearPooling(stack, shape, generator)]
