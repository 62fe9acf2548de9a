"""Differentiable search with operation-level early stopping, as published (paper, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.search.differentiable import DifferentiableStrategy
from automtl.search.procedure import Procedure
from automtl.search.settings import RegularizedSettings
from automtl.tables.schema import CONFIG


@settings_dataclass(frozen=True, config=CONFIG)
class AlgorithmOneSettings(RegularizedSettings):
    """Settings of the strategy `automtl`."""


@dataclass(frozen=True)
class AlgorithmOne(DifferentiableStrategy):
    """alpha on validation batches; weights and, after the warm-up, beta on training batches; first order.

    Every step runs all candidates and moves alpha; none is given up.
    """

    settings: AlgorithmOneSettings

    def procedure(self) -> Procedure:
        return Procedure.of(self.settings)
