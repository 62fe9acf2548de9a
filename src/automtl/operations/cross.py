"""Cross network (Wang et al., DCN-V2, WWW 2021), low-rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class CrossNetwork(Operation):
    """Explicit crosses of the flattened fields of degree `layers` + 1."""

    blocks = (Block.INTERACTION,)

    layers: int

    @staticmethod
    def mixture(candidates: Sequence[CrossNetwork], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.interaction import CrossMixture

        return CrossMixture([c.layers for c in candidates], shape, generator)
