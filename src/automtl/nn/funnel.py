"""Stages of a funnel, such as click and conversion: the chain of their probabilities. B rows, T tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.nn.stacked import chosen


class Funnel(nn.Module):
    """Turns logits (B, T) of stages, each given the one before, into logits of all stages up to each.

    What is learned is then the probability of the label on all rows (ESMM, Ma et al., SIGIR 2018): of two stages, the
    first is CTR, the second's own probability is CVR, and what comes out for it is their product, CTCVR.
    """

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__()
        self.places = list(places)

    def forward(self, logits: Tensor) -> Tensor:
        if not self.places:
            return logits
        columns = list(logits.unbind(dim=1))
        for place, stage in zip(self.places, chain(chosen(logits, self.places, 1)).unbind(dim=1), strict=True):
            columns[place] = stage
        return torch.stack(columns, dim=1)


def chain(steps: Tensor) -> Tensor:
    """Turn logits z of steps (B, T) into logits of the products p_k = sigmoid(z_1) ... sigmoid(z_k).

    With n the negative of a logit, 1 / p = 1 + exp(n), so 1 + exp(n_k) = (1 + exp(n_(k-1))) (1 + exp(-z_k)) and
    n_k = log(exp(n_(k-1)) + exp(-z_k) + exp(n_(k-1) - z_k)): finite for all z, and its gradients are a softmax.
    """
    first, *others = (-steps.float()).unbind(dim=1)
    found = [first]
    for step in others:
        before = found[-1]
        found.append(torch.logsumexp(torch.stack([before, step, before + step]), dim=0))
    return -torch.stack(found, dim=1)
