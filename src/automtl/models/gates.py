"""How much each task listens to each expert."""

from __future__ import annotations

import torch
from torch import nn

from automtl.features.batch import Batch, iterate
from automtl.models.network import Network

ROWS = 65_536  # rows looked at: a mean needs no more
BATCH = 2_048


@torch.inference_mode()
def mean_gate_weights(model: nn.Module, batch: Batch) -> list[list[float]] | None:
    """(T, E) mean weights of a derived network's gates over the first rows; None for other models."""
    if not isinstance(model, Network) or model.gate is None:
        return None
    rows = batch.take(slice(0, ROWS))
    total = torch.zeros(model.gate.closed.shape, dtype=torch.float64)
    for part in iterate(rows, BATCH):
        total += model.gate.shares(model.refine(part.features).flatten(1)).sum(0)
    return [[round(value, 5) for value in row] for row in (total / len(rows)).tolist()]
