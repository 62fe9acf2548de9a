"""Self-attention over fields (Song et al., AutoInt, CIKM 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automtl.operations.base import Block, BlockShape, Operation

if TYPE_CHECKING:
    import torch

    from automtl.nn.mixture import Mixture


@dataclass(frozen=True)
class SelfAttention(Operation):
    """Multi-head attention with a linear residual and ReLU."""

    name = "attention"
    blocks = (Block.INTERACTION,)

    heads: int

    def multiply_adds(self, shape: BlockShape) -> int:
        size = self.heads * max(1, shape.dim // self.heads)
        projections = shape.fields * shape.dim * (4 * size + shape.dim)
        return projections + 2 * shape.fields**2 * size

    @staticmethod
    def mixture(
        candidates: Sequence[SelfAttention], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> Mixture:
        from automtl.nn.interaction import AttentionMixture

        return AttentionMixture([c.heads for c in candidates], shape, generator)
