"""An ensemble of networks and boosted trees, weighted task by task. N rows, T tasks, M members.

Trees cut single columns at any value; networks learn ids and what tasks have in common. An average of their logits is
often better than either (stacking, Wolpert 1992).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.trees import TreeModel
from automtl.features.batch import SLICE_ROWS, Batch, Features
from automtl.features.layout import Layout
from automtl.models.settings import NetworkSettings
from automtl.system.progress import Callback
from automtl.tables.schema import Task, stages
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings

PRIOR = 10.0  # number of imagined rows that favour equal weights: they decide where validation rows are few
LEAST_WEIGHT = 0.02  # smaller weights become 0
STEPS = 100


@dataclass(frozen=True)
class Member:
    """A model of an ensemble, whose inputs are the first `columns` of the numeric columns."""

    name: str
    model: nn.Module
    columns: int


class Ensemble(nn.Module):
    """Sums members' logits by their `weights`, (M, T), which sum to one for each task: features -> logits (B, T).

    Stages of a funnel, which trees learn one by one, are kept from being more probable than the stage before.
    """

    weights: Tensor

    def __init__(self, members: Sequence[Member], tasks: Sequence[Task]) -> None:
        super().__init__()
        self.names = tuple(member.name for member in members)
        self.columns = tuple(member.columns for member in members)
        self.members, self.stages = nn.ModuleList(member.model for member in members), stages(tasks)
        self.register_buffer("weights", torch.zeros(len(members), len(tasks)))

    def forward(self, features: Features) -> Tensor:
        parts = zip(self.members, self.columns, self.weights, strict=True)
        logits = torch.stack(
            [member(features.with_numeric(columns)) * weight for member, columns, weight in parts]
        ).sum(0)
        if self.stages:
            logits[:, self.stages] = logits[:, self.stages].cummin(dim=1).values
        return logits


def trees_of(model: nn.Module) -> list[BoostedTrees]:
    """Return the boosted trees in a model."""
    return [module for module in model.modules() if isinstance(module, BoostedTrees)]


def boosted(
    inputs: Mapping[str, tuple[Layout, TreeSettings]], train: Batch, valid: Batch, seed: int, callback: Callback
) -> list[Member]:
    """Train boosted trees for each of these inputs, which are layouts of all or the first numeric columns."""
    found = []
    for name, (layout, settings) in inputs.items():
        trees, columns = TreeModel(layout, NetworkSettings(), torch.Generator(), settings), layout.num_numeric
        rows, checks = train.with_numeric(columns), valid.with_numeric(columns)
        fit(trees, rows, checks, layout.tasks, TrainingSettings(), seed, callback, f"training {name}")
        found.append(Member(name, trees, columns))
    return found


def combine(members: Sequence[Member], valid: Batch, tasks: Sequence[Task]) -> Ensemble | None:
    """Make an ensemble of the first member and of others with a weight in some task; None if no other has one."""
    weights = best_weights(
        [predict_logits(one.model, valid.with_numeric(one.columns)) for one in members], valid, tasks
    )
    kept = [place for place in range(len(members)) if place == 0 or weights[place].any()]
    if len(kept) == 1:
        return None
    found = Ensemble([members[place] for place in kept], tasks)
    found.weights = weights[kept]
    return found.eval()


def best_weights(logits: Sequence[Tensor], valid: Batch, tasks: Sequence[Task]) -> Tensor:
    """Find weights, (M, T), with the smallest loss on validation rows for each task, drawn towards equal weights.

    PRIOR times the divergence from equal weights is added to the sum of log losses, or of squared errors in units of
    twice the variance that the best member leaves. Where a task has no rows, the first member has all the weight.
    Logits: (N, T) each; of more than 262,144 rows, evenly spaced ones are read.
    """
    every = slice(None, None, -(-len(valid) // SLICE_ROWS) or 1)
    valid, stacked = valid.take(every), torch.stack([part[every] for part in logits]).detach().double()
    loss, rows, members = MultiTaskLoss(tasks), valid.mask.sum(0), len(logits)
    least = torch.stack([loss.per_task(part, valid) for part in (stacked.mean(0), *stacked)]).amin(0)
    unit = torch.where(loss.binary, 1.0, 2 * least) * PRIOR / rows.clamp(min=1)
    free = torch.zeros(members, len(tasks), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [free], max_iter=STEPS, tolerance_grad=1e-10, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def evaluate() -> Tensor:
        search.zero_grad()
        weights = free.softmax(0)
        divergence = (weights * (members * weights).clamp(min=1e-12).log()).sum(0)
        losses = loss.per_task((stacked * weights.unsqueeze(1)).sum(0), valid)
        total: Tensor = ((losses + unit * divergence) / least.clamp(min=1e-12)).sum()
        torch.autograd.backward(total)
        return total

    search.step(evaluate)
    weights = free.detach().softmax(0)
    weights = torch.where(weights < LEAST_WEIGHT, 0.0, weights)
    alone = (torch.arange(members) == 0).double().unsqueeze(1)
    return torch.where(rows > 0, weights / weights.sum(0), alone).float()
