"""DARTS (Liu et al., ICLR 2019): all choices on validation batches, nothing that keeps the search steady."""

from __future__ import annotations

from dataclasses import dataclass

from automtl.search.base import SearchProblem
from automtl.search.differentiable import DifferentiableStrategy, Rules, Run
from automtl.search.settings import plain


@dataclass(frozen=True)
class Darts(DifferentiableStrategy):
    """alpha and beta together on validation batches from the first step on, of second order if the settings say so.

    No warm-up, no auxiliary loss, no operation is stopped.
    """

    def begin(self, problem: SearchProblem, seed: int) -> Run:
        rules = Rules(joint=True, second_order=self.settings.second_order)
        return Run(problem, plain(self.settings), seed, rules)
