"""Self-attention over fields (Song et al., AutoInt, CIKM 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class SelfAttention(Operation):
    """Multi-head attention with a linear residual and ReLU."""

    blocks = (Block.INTERACTION,)

    heads: int

    @staticmethod
    def mixture(candidates: Sequence[SelfAttention], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.interaction import AttentionMixture

        return AttentionMixture([c.heads for c in candidates], shape, generator)
