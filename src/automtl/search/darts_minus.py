"""DARTS- (Chu et al., ICLR 2021): DARTS with an auxiliary skip connection whose weight decays to 0."""

from __future__ import annotations

from dataclasses import dataclass

from automtl.search.base import SearchProblem
from automtl.search.differentiable import DifferentiableStrategy, Rules, Run
from automtl.search.settings import plain


@dataclass(frozen=True)
class DartsMinus(DifferentiableStrategy):
    """A skip connection stands beside every mixture that keeps the shape, so that the skip candidate need not help
    the supernet to learn and is weighed as an operation alone (there, eq. 3 and 4). Otherwise as DARTS."""

    def begin(self, problem: SearchProblem, seed: int) -> Run:
        rules = Rules(joint=True, second_order=self.settings.second_order, auxiliary_skip=1.0, interaction_skip=True)
        return Run(problem, plain(self.settings), seed, rules)
