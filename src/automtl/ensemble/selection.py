"""Ensemble selection: the weights with which trained models make the final scores. N rows, T tasks, M models.

Models of one kind, such as all networks, become one by greedy selection with replacement, bagged over the models
(Caruana et al., ICML 2004, sections 2.1 to 2.3), by the loss of all tasks together. Then each task weighs the kinds by
its own loss. Validation rows are few and positives fewer: a selection for every task of every model follows their
chance (docs/decisions/0018).
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

ROWS = 1 << 18  # validation rows that are read, at most, evenly spaced
PRIOR = 10.0  # number of imagined rows that favour equal weights: they decide where validation rows are few
LEAST_WEIGHT = 0.02  # of a kind; smaller ones become 0
LEAST_SHARE = 0.04  # of a model among those of its kind; smaller ones become 0
STEPS = 100


@dataclass(frozen=True)
class Choice:
    """A model that may be selected: its kind, its logits (N, T) on validation rows, and its cost when it is served.

    `latency`: seconds to score a row.
    """

    kind: str
    logits: Tensor
    latency: float = 0.0
    parameters: int = 0


class Selector:
    """Selects some of the choices by their logits on validation rows, of which it reads at most `rows`."""

    def __init__(
        self, choices: Sequence[Choice], valid: Batch, tasks: Sequence[Task], settings: SelectionSettings, seed: int,
        rows: int = ROWS,
    ) -> None:  # fmt: skip
        every = slice(None, None, -(-len(valid) // rows) or 1)
        self.choices, self.settings, self.seed = choices, settings, seed
        self.valid, self.loss = valid.take(every), MultiTaskLoss(tasks)
        self.logits = torch.stack([one.logits[every] for one in choices]).detach()  # (M, N, T)
        self.counts = self.valid.mask.sum(0)
        weight = self.valid.mask * self.valid.weight.unsqueeze(1)
        self.weight = weight / weight.sum(0).clamp(min=1e-12)  # (N, T)
        self.labels = self.loss.targets(self.valid.labels)
        single = self.losses(self.logits)  # (M, T)
        self.least = single.amin(0).clamp(min=1e-12)

    def losses(self, logits: Tensor) -> Tensor:
        """Return the losses (..., T) of logits (..., N, T): cross-entropy, or squared error."""
        found: Tensor = nn.functional.softplus(logits) - self.labels * logits
        if not self.loss.all_binary:
            found = torch.where(self.loss.binary, found, (logits - self.labels).square())
        return (found * self.weight).sum(dim=-2)

    def total(self, logits: Tensor) -> Tensor:
        """Return the mean of the tasks' losses, each in units of the best model's: (...) of logits (..., N, T)."""
        found: Tensor = (self.losses(logits) / self.least).mean(-1)
        return found

    def greedy(self, models: Sequence[int]) -> Tensor:
        """Add models with replacement, each time the one that helps most; return shares (M,) at the best size."""
        some, places = self.logits[list(models)], list(models)
        mixed, shares = torch.zeros_like(some[0]), torch.zeros(len(self.choices))
        reached, best = inf, shares
        for size in range(1, self.settings.steps + 1):
            totals = self.total((mixed + some) / size)
            chosen = int(totals.argmin())
            mixed = mixed + some[chosen]
            shares[places[chosen]] += 1
            if float(totals[chosen]) < reached:
                reached, best = float(totals[chosen]), shares / size
        return best

    def bagged(self, models: Sequence[int]) -> Tensor:
        """Return the mean shares (M,) of greedy selections from random halves of the models."""
        if len(models) < 3 or not self.settings.bags:
            return self.greedy(models)
        generator, size = torch.Generator().manual_seed(self.seed), -(-len(models) // 2)
        bags = [torch.randperm(len(models), generator=generator)[:size].tolist() for _ in range(self.settings.bags)]
        shares = torch.stack([self.greedy([models[place] for place in bag]) for bag in bags]).mean(0)
        shares = torch.where(shares < min(LEAST_SHARE, float(shares.max())), 0.0, shares)
        return shares / shares.sum()

    def weights(self, models: Sequence[int]) -> Tensor:
        """Return the weight of each model in the scores of each task, (M, T), of these models alone."""
        kinds: dict[str, list[int]] = {}
        for place in models:
            kinds.setdefault(self.choices[place].kind, []).append(place)
        shares = torch.stack([self.bagged(kinds[kind]) for kind in sorted(kinds)])  # (K, M)
        weights = self._kind_weights(shares)
        kept = self.worthwhile(shares, weights)
        if bool((kept != shares).any()):
            shares, weights = kept, self._kind_weights(kept)
        return shares.T @ weights

    def _kind_weights(self, shares: Tensor) -> Tensor:
        """Return the weight of each kind for each task, (K, T), by the shares of its models, (K, M)."""
        return self._best_weights(torch.einsum("km,mnt->knt", shares, self.logits))

    def worthwhile(self, shares: Tensor, weights: Tensor) -> Tensor:
        """Leave out models that are not worth what they cost to serve: shares (K, M) of those that are.

        Of the models of a kind, the one that is missed least is left out, and again the next one, as long as the loss
        of all together stays within `worth` of the least one that was met. weights: (K, T), of the kinds. What a kind
        is worth is for the weights to say, which keep to equal ones where validation rows are few.
        """
        kept, worth = shares, self.settings.worth
        least = self._together(shares, weights)
        while worth:
            tried = [
                self._without(kept, *place) for place in kept.nonzero().tolist() if int((kept[place[0]] > 0).sum()) > 1
            ]
            losses = [self._together(one, weights) for one in tried]
            if not losses or min(losses) > least * (1 + worth):
                break
            kept, least = tried[losses.index(min(losses))], min(least, *losses)
        return kept

    def _together(self, shares: Tensor, weights: Tensor) -> float:
        """Return the loss of all tasks of models with these shares (K, M) of their kinds, weighed by (K, T)."""
        return float(self.total(torch.einsum("mt,mnt->nt", shares.T @ weights, self.logits)))

    @staticmethod
    def _without(shares: Tensor, kind: int, model: int) -> Tensor:
        """Return shares, (K, M), without those of a model; the others of its kind have them in proportion."""
        left = shares.clone()
        left[kind, model] = 0
        left[kind] /= left[kind].sum()
        return left

    def _best_weights(self, logits: Tensor) -> Tensor:
        """Find weights, (K, T), with the smallest loss for each task, drawn towards equal weights.

        PRIOR times the divergence from equal weights is added to the sum of log losses, or of squared errors in units
        of twice the variance that the best kind leaves. Where a task has no rows, the first kind has all the weight.
        """
        kinds, logits = len(logits), logits.double()
        least = torch.minimum(self.losses(logits).amin(0), self.losses(logits.mean(0))).clamp(min=1e-12)
        unit = torch.where(self.loss.binary, 1.0, 2 * least) * PRIOR / self.counts.clamp(min=1)
        free = torch.zeros(kinds, logits.shape[2], dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS(
            [free], max_iter=STEPS, tolerance_grad=1e-10, tolerance_change=1e-12, line_search_fn="strong_wolfe"
        )

        def evaluate() -> Tensor:
            search.zero_grad()
            weights = free.softmax(0)
            divergence = (weights * (kinds * weights).clamp(min=1e-12).log()).sum(0)
            losses = self.losses((logits * weights.unsqueeze(1)).sum(0))
            objective: Tensor = ((losses + unit * divergence) / least).sum()
            torch.autograd.backward(objective)
            return objective

        search.step(evaluate)
        weights = free.detach().softmax(0)
        weights = torch.where(weights < LEAST_WEIGHT, 0.0, weights)
        alone = (torch.arange(kinds) == 0).double().unsqueeze(1)
        return torch.where(self.counts > 0, weights / weights.sum(0), alone).float()

    def affordable(self) -> list[int]:
        """Add models one by one, each time the one that helps most, as long as all together keep to the bounds.

        Where no model keeps to them, it is the cheapest one.
        """
        chosen: list[int] = []
        reached = inf
        while True:
            others = [one for one in range(len(self.choices)) if one not in chosen and self._keeps([*chosen, one])]
            tried = {one: self._reached([*chosen, one]) for one in others}
            best = min(tried, key=tried.__getitem__, default=None)
            if best is None or tried[best] >= reached:
                break
            chosen.append(best)
            reached = tried[best]
        cheapest = min(
            range(len(self.choices)), key=lambda one: (self.choices[one].latency, self.choices[one].parameters)
        )
        return chosen or [cheapest]

    def _reached(self, models: Sequence[int]) -> float:
        """Return the loss of all tasks that these models reach together."""
        mixed = torch.einsum("mt,mnt->nt", self.weights(models), self.logits)
        return float(self.total(mixed))

    def _keeps(self, models: Sequence[int]) -> bool:
        """Tell whether models keep to the bounds together."""
        some = [self.choices[place] for place in models]
        latency, parameters = sum(one.latency for one in some), sum(one.parameters for one in some)
        bounds = self.settings
        return latency <= (bounds.max_latency or inf) and parameters <= (bounds.max_parameters or inf)


def select(
    choices: Sequence[Choice], valid: Batch, tasks: Sequence[Task], settings: SelectionSettings, seed: int = 0,
    rows: int = ROWS,
) -> Tensor:  # fmt: skip
    """Return the weight of each model in the scores of each task, (M, T), which sum to one over the models.

    Models with a weight keep together to the bounds of the settings. At most `rows` validation rows are read.
    """
    selector = Selector(choices, valid, tasks, settings, seed, rows)
    return selector.weights(selector.affordable() if settings.bounded else range(len(choices)))
