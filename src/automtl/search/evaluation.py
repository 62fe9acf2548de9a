"""Evaluations of a supernet during its search: the records of the history."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from automtl.features.batch import Batch
from automtl.models.supernet import PartialSupernet, Supernet
from automtl.search.candidates import argmax
from automtl.search.state import SearchState
from automtl.space.names import INTERACTION
from automtl.space.space import SearchSpace
from automtl.system.progress import Progress
from automtl.tables.schema import Task
from automtl.training.evaluation import Evaluator
from automtl.training.losses import MultiTaskLoss

STRONGEST = 3  # candidates of the last choice that are reported


def candidate_weights(supernet: Supernet) -> dict[str, torch.Tensor]:
    """Return the weights (cells, K) of the candidates of each choice, without gradients."""
    return {name: supernet.logits.weights(name).detach() for name in supernet.space.choices}


class SupernetEvaluator:
    """Evaluates the supernet of a search in `space` on validation rows."""

    def __init__(self, space: SearchSpace, valid: Batch, tasks: Sequence[Task]) -> None:
        self.space, self.evaluator = space, Evaluator(valid, tasks, MultiTaskLoss(tasks))

    def __call__(self, state: SearchState, loss: float, total: int) -> Progress:
        """Add a record to the history, and return its progress event. `loss`: that of the last training batch."""
        supernet = state.supernet
        strongest = {name: argmax(weights) for name, weights in candidate_weights(supernet).items()}
        check = self.evaluator(PartialSupernet(supernet, strongest), 0, state.step, loss)
        architecture, relaxed = supernet.derive(), supernet.relax()
        state.history.append(
            {
                "step": state.step,
                "train_loss": loss,
                "valid_loss": check.loss,
                "valid_auc": check.auc,
                "alpha": self._strengths(supernet),
                "beta": None if relaxed.experts is None else _rounded(relaxed.experts),
                "architecture": architecture.to_dict(),
                "skips": architecture.num_skips,
                "stopped": len(state.stopping.stopped()),
                "gradient_difference": _quantiles(state.stopping.difference()),
            }
        )
        last = list(relaxed.choices)[-1]
        weights = relaxed.choices[last].weights.detach().mean(0)
        best = weights.topk(min(STRONGEST, len(weights))).indices.tolist()
        names = [architecture[INTERACTION][0], *(supernet.space[last].options[index] for index in best)]
        return Progress("search", state.step, total, check.loss, check.auc, tuple(map(str, names)))

    def _strengths(self, supernet: Supernet) -> dict[str, list[list[float]]]:
        """Return the weights (cells, K) of all candidates of the search, by choice; 0 where pruned."""
        found = {}
        for name, weights in candidate_weights(supernet).items():
            first = self.space[name].options
            every = weights.new_zeros(len(weights), len(first))
            every[:, [first.index(option) for option in supernet.space[name].options]] = weights
            found[name] = _rounded(every)
        return found


def _rounded(values: torch.Tensor) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in values.detach().tolist()]


def _quantiles(values: torch.Tensor) -> list[float]:
    """Return minimum, quartiles and maximum."""
    if not len(values):
        return []
    return [round(v, 4) for v in torch.quantile(values.cpu(), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])).tolist()]
