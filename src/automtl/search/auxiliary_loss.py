"""The auxiliary loss that keeps the tasks' expert selections apart (paper, eq. 2)."""

from __future__ import annotations

import torch
from torch import Tensor

GUARD = 1e-8  # under the root: the norm's gradient at equal distributions would be undefined


def diversity(probabilities: Tensor) -> Tensor:
    """L_log = sum over task pairs of log(1 + ||p_i - p_j||). probabilities: (T, E). To be subtracted from the loss."""
    first, second = torch.triu_indices(len(probabilities), len(probabilities), offset=1)
    squared = (probabilities[first] - probabilities[second]).square().sum(dim=1)
    return torch.log1p((squared + GUARD).sqrt()).sum()
