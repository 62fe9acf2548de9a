"""Evaluations of a supernet during its search: the records of the history."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from automtl.features.batch import Batch
from automtl.models.supernet import Part, Supernet
from automtl.search.candidates import argmax
from automtl.search.state import SearchState
from automtl.space.space import SearchSpace
from automtl.system.progress import Progress
from automtl.tables.schema import Task
from automtl.training.fit import Judge
from automtl.training.losses import MultiTaskLoss

STRONGEST = 3  # candidates of the last layer that are reported


def candidate_weights(supernet: Supernet) -> list[torch.Tensor]:
    """For each choice the weights (cells, K) of its candidates, without their history."""
    return [supernet.logits.weights(index).detach() for index in range(len(supernet.space.choices))]


class Evaluator:
    """Evaluates the supernet of a search in `space` on validation rows."""

    def __init__(self, space: SearchSpace, valid: Batch, tasks: Sequence[Task], loss: MultiTaskLoss) -> None:
        self.space, self.judge = space, Judge(valid, tasks, loss)

    def __call__(self, state: SearchState, loss: float, total: int) -> Progress:
        """Add a record to the history, and return what is reported of it. `loss`: of the last training batch."""
        supernet = state.supernet
        check = self.judge(
            Part(supernet, [argmax(weights) for weights in candidate_weights(supernet)]), 0, state.step, loss
        )
        architecture, mixing = supernet.derive(), supernet.mixing()
        state.history.append(
            {
                "step": state.step,
                "train_loss": loss,
                "valid_loss": check.loss,
                "valid_auc": check.auc,
                "alpha": self._strengths(supernet),
                "beta": None if mixing.experts is None else _rounded(mixing.experts),
                "architecture": architecture.to_dict(),
                "skips": architecture.num_skips,
                "stopped": len(state.stopping.stopped()),
                "gradient_difference": _quantiles(state.stopping.difference()),
            }
        )
        strongest = [str(architecture.interaction)]
        if supernet.space.layers:
            share = mixing.choices[-1].weights.detach().mean(0)
            best = share.topk(min(STRONGEST, len(share))).indices.tolist()
            strongest += [str(supernet.space.layers[-1].options[index]) for index in best]
        return Progress("search", state.step, total, check.loss, check.auc, tuple(strongest))

    def _strengths(self, supernet: Supernet) -> list[list[list[float]]]:
        """Weights of all candidates that there were at the start, for each choice (cells, K); 0 where pruned."""
        found, spaces = [], zip(self.space.choices, supernet.space.choices, strict=True)
        for weights, (first, now) in zip(candidate_weights(supernet), spaces, strict=True):
            every = weights.new_zeros(len(weights), len(first.options))
            every[:, [first.options.index(option) for option in now.options]] = weights
            found.append(_rounded(every))
        return found


def _rounded(values: torch.Tensor) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in values.detach().tolist()]


def _quantiles(values: torch.Tensor) -> list[float]:
    """Minimum, quartiles and maximum."""
    if not len(values):
        return []
    return [round(v, 4) for v in torch.quantile(values, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])).tolist()]
