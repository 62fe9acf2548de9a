"""Cross network (Wang et al., DCN-V2, WWW 2021), low-rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automtl.operations.base import Block, BlockShape, Operation

if TYPE_CHECKING:
    import torch

    from automtl.nn.mixture import Mixture


@dataclass(frozen=True)
class CrossNetwork(Operation):
    """Explicit crosses of the flattened fields of degree `layers` + 1."""

    blocks = (Block.INTERACTION,)

    layers: int

    @staticmethod
    def mixture(
        candidates: Sequence[CrossNetwork], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> Mixture:
        from automtl.nn.interaction import CrossMixture

        return CrossMixture([c.layers for c in candidates], shape, generator)
