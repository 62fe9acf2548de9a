"""Multi-layer perceptron: linear, ReLU, linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class MLP(Operation):
    """One hidden layer of `hidden` units."""

    blocks = (Block.LAYER,)

    hidden: int

    @staticmethod
    def mixture(candidates: Sequence[MLP], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.layers import MLPMixture

        return MLPMixture([c.hidden for c in candidates], stack, shape, generator)
