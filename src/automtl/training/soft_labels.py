"""Labels that are mixed with the scores of another model, which a network learns in distillation. N rows, T tasks.

Hinton et al. (Distilling the knowledge in a neural network, 2015) sum the losses on labels and on scores. Cross-entropy
is linear in its label, so that sum is the loss on a mixed label; squared errors of both differ from it by a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from automtl.features.batch import Batch
from automtl.features.targets import Targets
from automtl.tables.schema import Task, TaskKind
from automtl.training.losses import log_odds_offset


def with_soft_labels(rows: Batch, logits: Tensor, weight: float, tasks: Sequence[Task]) -> Batch:
    """Return training rows whose labels are mixed with a model's scores, which have this weight (0: only labels).

    logits: (N, T), of all rows as a model gives them; what weights and sampling of training rows add to log-odds is
    added here. A task whose positives have a weight learns from the scores alone, since a mixed label is neither.
    Rows on which a task does not hold stay so.
    """
    targets = Targets(tasks)
    binary = torch.tensor([task.kind is TaskKind.BINARY for task in tasks])
    offset = torch.tensor([log_odds_offset(task) if task.kind is TaskKind.BINARY else 0.0 for task in tasks])
    share = torch.tensor([1.0 if task.positive_weight and weight > 0 else weight for task in tasks])
    scores = torch.where(binary, (logits + offset).sigmoid(), logits)
    mixed = targets.inverse(torch.lerp(targets(rows.labels), scores, share))
    return replace(rows, labels=mixed.to(rows.labels.dtype) * rows.mask)
