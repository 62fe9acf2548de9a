"""Gated linear units as layers of experts (Shazeer, "GLU variants improve transformer", 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class GatedLinearUnit(Operation):
    """A hidden layer of `hidden` linear units, each times a gate by SiLU."""

    blocks = (Block.LAYER,)

    hidden: int

    @staticmethod
    def mixture(candidates: Sequence[GatedLinearUnit], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.layers import StackedGatedLinearUnit

        return [StackedGatedLinearUnit(c.hidden, stack, shape, generator) for c in candidates]
