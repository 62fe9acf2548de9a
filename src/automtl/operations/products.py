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

    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(
        candidates: Sequence[InnerProduct], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> Mixture:
        from automtl.nn.interaction import FieldInnerProduct
        from automtl.nn.mixture import SeparateCandidates

        return SeparateCandidates([FieldInnerProduct(shape, generator)])


@dataclass(frozen=True)
class OuterProduct(Operation):
    """Each field times the sum-pooled outer product, then a D-to-D map; residual."""

    blocks = (Block.INTERACTION,)

    @staticmethod
    def mixture(
        candidates: Sequence[OuterProduct], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> Mixture:
        from automtl.nn.interaction import FieldOuterProduct
        from automtl.nn.mixture import SeparateCandidates

        return SeparateCandidates([FieldOuterProduct(shape, generator)])
