"""Dropout (Srivastava et al. 2014) from random bytes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEVELS = 256  # a rate is rounded to this many levels


class Dropout(nn.Module):
    """Zeroes each number with probability `rate` while training, and scales the rest up.

    One draw of the generator serves eight numbers. torch's own dropout draws once a number, which made a training step
    on one core 10 % (the searched network) to 80 % (shared-bottom) longer.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped = min(round(rate * LEVELS), LEVELS - 1)
        self.scale = LEVELS / (LEVELS - self.dropped)  # of what is kept

    @property
    def active(self) -> bool:
        """Tell whether anything is dropped."""
        return self.training and self.dropped > 0

    def mask(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Draw a mask of `like`'s type and device: 0 where a number is dropped, else `scale`."""
        count = torch.Size(shape).numel()
        draws = torch.empty((count + 7) // 8, dtype=torch.int64, device=like.device).random_(-(2**63), None)
        values = draws.view(torch.uint8)[:count].to(like.dtype).view(shape)
        return values.ge_(self.dropped).mul_(self.scale)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask(x.shape, x) if self.active else x
