"""DARTS- (Chu et al., ICLR 2021): DARTS with an auxiliary skip connection whose weight decays to 0."""

from __future__ import annotations

from dataclasses import dataclass

from automtl.search.darts import DartsSettings
from automtl.search.differentiable import DifferentiableStrategy
from automtl.search.procedure import Procedure


@dataclass(frozen=True)
class DartsMinus(DifferentiableStrategy):
    """DARTS with a skip connection beside every mixture that keeps the shape.

    The skip candidate then need not help the supernet to learn, and competes as an operation alone (eq. 3 and 4).
    """

    settings: DartsSettings

    def procedure(self) -> Procedure:
        return Procedure.of(self.settings, joint=True, auxiliary_skip=1.0, interaction_skip=True)
