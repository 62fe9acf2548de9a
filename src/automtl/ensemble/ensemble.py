"""A network, a smaller one and boosted trees side by side, weighed task by task. N rows, T tasks, M members.

Trees see what stands in single columns and cut it anywhere; networks learn ids and what tasks have in common. Where
both know something, an average of their logits is better than either (a stacking, Wolpert 1992).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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

PRIOR = 10.0  # rows that say "all members alike": it decides where validation rows say little
LEAST_SHARE = 0.02  # a smaller one is none
STEPS = 100


@dataclass(frozen=True)
class Member:
    """A model of a blend. `columns`: how many of the numeric columns it sees, which are the first ones."""

    name: str
    model: nn.Module
    columns: int


class Blend(nn.Module):
    """Features -> each task's logits, (B, T), as members' logits by their `share`, (M, T), which sum to one.

    Trees learn each stage of a funnel by itself; here none is more probable than the one before it.
    """

    share: Tensor

    def __init__(self, members: Sequence[Member], tasks: Sequence[Task]) -> None:
        super().__init__()
        self.names = tuple(member.name for member in members)
        self.columns = tuple(member.columns for member in members)
        self.members, self.stages = nn.ModuleList(member.model for member in members), stages(tasks)
        self.register_buffer("share", torch.zeros(len(members), len(tasks)))

    def forward(self, features: Features) -> Tensor:
        parts = zip(self.members, self.columns, self.share, strict=True)
        logits = torch.stack([member(features.narrow(columns)) * share for member, columns, share in parts]).sum(0)
        if self.stages:
            logits[:, self.stages] = logits[:, self.stages].cummin(dim=1).values
        return logits


def trees_of(model: nn.Module) -> list[TreeModel]:
    """The boosted trees in a model."""
    return [module for module in model.modules() if isinstance(module, TreeModel)]


def boosted(
    inputs: Mapping[str, Layout], train: Batch, valid: Batch, settings: TrainingSettings, seed: int, callback: Callback
) -> list[Member]:
    """Boosted trees for each of these inputs: layouts of the rows, with all numeric columns or the first of them."""
    found = []
    for name, layout in inputs.items():
        trees, columns = TreeModel(layout, NetworkSettings(), torch.Generator()), layout.num_numeric
        rows, checks = train.narrow(columns), valid.narrow(columns)
        fit(trees, rows, checks, layout.tasks, settings, seed, callback, f"training {name}")
        found.append(Member(name, trees, columns))
    return found


def blend(members: Sequence[Member], valid: Batch, tasks: Sequence[Task]) -> Blend | None:
    """The members that have a share in some task, and the first one; None where no other has."""
    share = best_shares([predict_logits(one.model, valid.narrow(one.columns)) for one in members], valid, tasks)
    kept = [place for place in range(len(members)) if place == 0 or share[place].any()]
    if len(kept) == 1:
        return None
    found = Blend([members[place] for place in kept], tasks)
    found.share = share[kept]
    return found.eval()


def best_shares(logits: Sequence[Tensor], valid: Batch, tasks: Sequence[Task]) -> Tensor:
    """(M, T): of each task the shares with the smallest loss on validation rows, drawn towards equal ones.

    To a sum of log losses PRIOR times the divergence from equal shares is added; of a regression, to half of the
    squared errors in units of the variance that the best member leaves, or equal shares. A task without rows goes to
    the first member. Logits: (N, T) each; of more than 262,144 rows every so many are looked at.
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
        share = free.softmax(0)
        divergence = (share * (members * share).clamp(min=1e-12).log()).sum(0)
        losses = loss.per_task((stacked * share.unsqueeze(1)).sum(0), valid)
        total: Tensor = ((losses + unit * divergence) / least.clamp(min=1e-12)).sum()
        torch.autograd.backward(total)
        return total

    search.step(evaluate)
    share = free.detach().softmax(0)
    share = torch.where(share < LEAST_SHARE, 0.0, share)
    alone = (torch.arange(members) == 0).double().unsqueeze(1)
    return torch.where(rows > 0, share / share.sum(0), alone).float()
