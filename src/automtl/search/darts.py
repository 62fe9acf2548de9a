"""DARTS (Liu et al., ICLR 2019): all choices learn on validation batches, nothing keeps the search steady."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.search.differentiable import DifferentiableStrategy
from automtl.search.procedure import Procedure
from automtl.search.settings import DifferentiableSettings
from automtl.tables.entries import CONFIG


@settings_dataclass(frozen=True, config=CONFIG)
class DartsSettings(DifferentiableSettings):
    """Settings of the strategies `darts` and `darts-minus`."""

    second_order: bool = Limit(default=False, description="Whether choices look one step of the weights ahead.")


@dataclass(frozen=True)
class Darts(DifferentiableStrategy):
    """Moves alpha and beta on validation batches from the first step on, without what keeps Algorithm 1 steady."""

    settings: DartsSettings

    def procedure(self) -> Procedure:
        return Procedure.of(self.settings, joint=True)
