"""Dropout (Srivastava et al. 2014) from random bytes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 256  # a rate is rounded to this many levels


class Dropout(nn.Module):
    """Zeroes each number with probability `rate` while training, and scales the rest up.

    One draw of the generator serves eight numbers, and there the time of a dropout goes on a CPU.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped = min(round(rate * LEVELS), LEVELS - 1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return x
        draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        mask = (draws.view(torch.uint8)[: x.numel()] >= self.dropped).view(x.shape)
        return x * mask.to(x.dtype).mul_(LEVELS / (LEVELS - self.dropped))
