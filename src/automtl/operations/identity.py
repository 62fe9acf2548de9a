"""Skip connection: the input unchanged, so that a search can learn depth (paper, 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class Identity(Operation):
    """Returns its input."""

    blocks = (Block.INTERACTION, Block.LAYER)

    @staticmethod
    def mixture(candidates: Sequence[Identity], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from torch import nn

        return [nn.Identity()]
