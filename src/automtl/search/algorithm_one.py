"""Differentiable search with operation-level early stopping, as published (paper, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

from automtl.search.differentiable import DifferentiableStrategy
from automtl.search.procedure import Procedure
from automtl.search.settings import RegularizedSettings


@dataclass(frozen=True)
class AlgorithmOne(DifferentiableStrategy):
    """Moves alpha on validation batches, weights and, after the warm-up, beta on training batches; first order.

    Every step runs all candidates and moves alpha; none is pruned.
    """

    settings: RegularizedSettings

    def procedure(self) -> Procedure:
        return Procedure.of(self.settings)
