"""Products of fields (Qu et al., ICDM 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automtl.operations.base import Block, BlockShape, Operation

if TYPE_CHECKING:
    import torch

    from automtl.nn.mixture import Mixture


@dataclass(frozen=True)
class InnerProduct(Operation):
    """Inner products of all pairs of fields; a field's F products go through one F-to-D map; residual."""

    name = "inner-product"
    blocks = (Block.INTERACTION,)

    def multiply_adds(self, shape: BlockShape) -> int:
        return 2 * shape.fields**2 * shape.dim

    @staticmethod
    def mixture(
        candidates: Sequence[InnerProduct], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> Mixture:
        from automtl.nn.interaction import InnerProductMixture

        return InnerProductMixture(shape, generator)


@dataclass(frozen=True)
class OuterProduct(Operation):
    """Each field times the sum-pooled outer product, then a D-to-D map; residual."""

    name = "outer-product"
    blocks = (Block.INTERACTION,)

    def multiply_adds(self, shape: BlockShape) -> int:
        return shape.fields * shape.dim + shape.dim**2

    @staticmethod
    def mixture(
        candidates: Sequence[OuterProduct], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> Mixture:
        from automtl.nn.interaction import OuterProductMixture

        return OuterProductMixture(shape, generator)
