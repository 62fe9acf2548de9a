"""Products of fields (Qu et al., ICDM 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class InnerProduct(Operation):
    """Inner products of all pairs of fields; a field's F products go through one F-to-D map; residual."""

    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(candidates: Sequence[InnerProduct], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.interaction import FieldInnerProduct

        return [FieldInnerProduct(shape, generator)]


@dataclass(frozen=True)
class OuterProduct(Operation):
    """Each field times the sum-pooled outer product, then a D-to-D map; residual."""

    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(candidates: Sequence[OuterProduct], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.interaction import FieldOuterProduct

        return [FieldOuterProduct(shape, generator)]


@dataclass(frozen=True)
class ScaledInnerProduct(Operation):
    """Inner products with the fields of a normalised row, mapped and added as those of `InnerProduct`."""

    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(
        candidates: Sequence[ScaledInnerProduct], stack: int, shape: BlockShape, generator: Generator
    ) -> Modules:
        from automtl.nn.interaction import FieldScaledInnerProduct

        return [FieldScaledInnerProduct(shape, generator)]
