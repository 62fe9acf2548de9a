"""A network and boosted trees side by side, weighed task by task. N rows, T tasks.

Trees see what stands in single columns and cut it anywhere; networks learn ids and what tasks have in common. Where
both know something, an average of their logits is better than either (a stacking of two, Wolpert 1992).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.data.batch import Batch, Features
from automtl.data.layout import Layout
from automtl.data.schema import Task, stages
from automtl.models.settings import NetworkSettings
from automtl.models.trees import TreeModel
from automtl.training.fit import TrainingSettings, fit, predict_logits
from automtl.training.losses import MultiTaskLoss
from automtl.training.progress import Listener, silent

SHARES = 21  # that are tried, from 0 to 1


class Blend(nn.Module):
    """Features -> (1 - s) network + s trees, logits (B, T); s: the trees' `share` of each task, (T,).

    Trees learn each stage of a funnel by itself; here none is more probable than the one before it.
    """

    share: Tensor

    def __init__(self, network: nn.Module, trees: TreeModel) -> None:
        super().__init__()
        self.network, self.trees = network, trees
        self.register_buffer("share", torch.zeros(len(trees.tasks)))
        self.stages = stages(trees.tasks)

    def forward(self, features: Features) -> Tensor:
        logits = torch.lerp(self.network(features), self.trees(features), self.share)
        if self.stages:
            logits[:, self.stages] = logits[:, self.stages].cummin(dim=1).values
        return logits


def trees_of(model: nn.Module) -> TreeModel | None:
    """The boosted trees in a model, if there are any."""
    return model if isinstance(model, TreeModel) else model.trees if isinstance(model, Blend) else None


def blend(
    network: nn.Module,
    layout: Layout,
    train: Batch,
    valid: Batch,
    settings: TrainingSettings,
    seed: int,
    listen: Listener = silent,
) -> nn.Module:
    """A trained network with trees of the same rows beside it; the network alone where they help no task."""
    trees = TreeModel(layout, NetworkSettings(), torch.Generator())
    fit(trees, train, valid, layout.tasks, settings, seed, listen, "training boosted trees")
    found = Blend(network, trees)
    found.share = best_shares(predict_logits(network, valid), predict_logits(trees, valid), valid, layout.tasks)
    return found.eval() if found.share.any() else network


def best_shares(network: Tensor, trees: Tensor, valid: Batch, tasks: Sequence[Task]) -> Tensor:
    """(T,): of each task the share with the smallest validation loss; 0 where it has no row. Logits: (N, T)."""
    loss, shares = MultiTaskLoss(tasks), torch.linspace(0, 1, SHARES)
    losses = torch.stack([loss.over(torch.lerp(network, trees, float(share)), valid) for share in shares])
    return shares[losses.argmin(dim=0)]
