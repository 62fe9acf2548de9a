"""Skip connection: the input unchanged, so that a search can learn depth (paper, 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automtl.operations.base import Block, BlockShape, Operation

if TYPE_CHECKING:
    import torch

    from automtl.nn.mixture import Mixture


@dataclass(frozen=True)
class Identity(Operation):
    """The input itself."""

    blocks = (Block.INTERACTION, Block.LAYER)

    @staticmethod
    def mixture(candidates: Sequence[Identity], stack: int, shape: BlockShape, generator: torch.Generator) -> Mixture:
        from torch import nn

        from automtl.nn.mixture import SeparateCandidates

        return SeparateCandidates([nn.Identity()])
