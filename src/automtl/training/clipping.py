"""Gradients cut to a norm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


@torch.no_grad()
def clip(gradients: Sequence[Tensor], limit: float) -> None:
    """Scale all gradients in place by one number, so that the norm of all together is at most `limit`."""
    norm = nn.utils.get_total_norm(gradients, foreach=True) + 1e-6
    if norm.is_cuda or not norm.item() <= limit:  # a processor knows at once whether there is anything to cut
        torch._foreach_mul_(list(gradients), (limit / norm).clamp(max=1.0))
