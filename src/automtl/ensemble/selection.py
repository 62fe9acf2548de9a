"""Ensemble selection: the weights with which trained models make the final scores. N rows, T tasks, M models.

Greedy selection with replacement from a library of models, bagged over the models against chance (Caruana et al., ICML
2004, sections 2.1 to 2.3), of each task by its loss on validation rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

from automtl.ensemble.settings import SelectionSettings
from automtl.features.batch import Batch
from automtl.tables.schema import Task
from automtl.training.losses import MultiTaskLoss

ROWS = 1 << 15  # validation rows that are read, evenly spaced
LEAST_WEIGHT = 0.01  # smaller weights become 0


@dataclass(frozen=True)
class Cost:
    """What a model costs when it is served: seconds to score a row, and parameters."""

    latency: float = 0.0
    parameters: float = 0.0


class Selector:
    """Selects models by their logits (N, T) on validation rows, of which it reads some."""

    def __init__(
        self, logits: Sequence[Tensor], valid: Batch, tasks: Sequence[Task], settings: SelectionSettings, seed: int
    ) -> None:
        every = slice(None, None, -(-len(valid) // ROWS) or 1)
        valid = valid.take(every)
        self.settings, self.seed = settings, seed
        self.logits = torch.stack([part[every].T for part in logits]).float().contiguous()  # (M, T, N)
        self.loss = MultiTaskLoss(tasks)
        weight = (valid.mask * valid.weight.unsqueeze(1)).T
        self.rows = valid.mask.sum(0)
        self.weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-12)  # (T, N)
        self.labels = self.loss.targets(valid.labels).T.contiguous()
        self.binary = self.loss.binary.unsqueeze(1)

    def losses(self, logits: Tensor) -> Tensor:
        """Return the losses (..., T) of logits (..., T, N): cross-entropy, or squared error."""
        entropy = nn.functional.softplus(logits) - self.labels * logits
        if not self.loss.all_binary:
            entropy = torch.where(self.binary, entropy, (logits - self.labels).square())
        found: Tensor = torch.linalg.vecdot(entropy, self.weight.expand_as(entropy))
        return found

    def greedy(self, models: Sequence[int]) -> Tensor:
        """Add models with replacement, the one that helps each task most; return weights (T, M) at the best size."""
        some = self.logits[list(models)]
        tasks = torch.arange(some.shape[1])
        total, counts = torch.zeros_like(self.labels), torch.zeros(some.shape[1], self.logits.shape[0])
        places = torch.tensor(list(models))
        best_loss, best = torch.full((len(tasks),), torch.inf), counts.clone()
        for size in range(1, self.settings.steps + 1):
            losses = self.losses((total + some) / size)  # (m, T)
            chosen = losses.argmin(dim=0)
            total = total + some[chosen, tasks]
            counts[tasks, places[chosen]] += 1
            reached = losses[chosen, tasks]
            better = reached < best_loss
            best_loss = torch.where(better, reached, best_loss)
            best = torch.where(better.unsqueeze(1), counts / size, best)
        return best

    def bagged(self, models: Sequence[int]) -> Tensor:
        """Return the mean weights (T, M) of greedy selections from random parts of the models."""
        if len(models) < 3 or not self.settings.bags:
            return self.greedy(models)
        generator, size = torch.Generator().manual_seed(self.seed), -(-len(models) // 2)
        bags = [torch.randperm(len(models), generator=generator)[:size] for _ in range(self.settings.bags)]
        return torch.stack([self.greedy([models[place] for place in bag.tolist()]) for bag in bags]).mean(0)

    def score(self, weights: Tensor) -> float:
        """Return the sum of the tasks' losses with weights (T, M)."""
        mixed = torch.einsum("tm,mtn->tn", weights, self.logits)
        return float(self.losses(mixed).sum())


def select(
    logits: Sequence[Tensor], valid: Batch, tasks: Sequence[Task], settings: SelectionSettings,
    costs: Sequence[Cost] | None = None, seed: int = 0,
) -> Tensor:  # fmt: skip
    """Return the weight of each model in the scores of each task, (M, T), which sum to one over the models.

    logits: (N, T) of each model on validation rows; costs: of each model, needed where the settings have bounds, which
    the models with a weight keep to together; where no model keeps to them, the cheapest one has all the weight. Where
    a task has no rows, the first model that is selected has all the weight.
    """
    selector = Selector(logits, valid, tasks, settings, seed)
    models = list(range(len(logits)))
    if settings.bounded:
        assert costs is not None
        models = _affordable(selector, costs, settings)
    weights = selector.bagged(models).T
    weights = torch.where(weights < LEAST_WEIGHT, 0.0, weights)
    alone = (torch.arange(len(logits)) == models[0]).float().unsqueeze(1)
    return torch.where(selector.rows > 0, weights / weights.sum(0).clamp(min=1e-12), alone)


def _affordable(selector: Selector, costs: Sequence[Cost], settings: SelectionSettings) -> list[int]:
    """Select models one by one, each time the one that helps most, as long as all together keep to the bounds."""
    chosen: list[int] = []
    reached = inf
    while True:
        open_ = [
            place for place in range(len(costs)) if place not in chosen and _keeps([*chosen, place], costs, settings)
        ]
        tried = {place: selector.score(selector.greedy([*chosen, place])) for place in open_}
        best = min(tried, key=tried.__getitem__, default=None)
        if best is None or tried[best] >= reached:
            break
        chosen.append(best)
        reached = tried[best]
    return chosen or [min(range(len(costs)), key=lambda place: (costs[place].latency, costs[place].parameters))]


def _keeps(models: Sequence[int], costs: Sequence[Cost], settings: SelectionSettings) -> bool:
    """Tell whether models keep to the bounds together."""
    latency, parameters = (sum(getattr(costs[place], name) for place in models) for name in ("latency", "parameters"))
    return bool(latency <= (settings.max_latency or inf) and parameters <= (settings.max_parameters or inf))
