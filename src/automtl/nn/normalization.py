"""Normalisations of hidden vectors. S copies, B rows, H width."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from automtl.errors import SettingsError
from automtl.system.workers import workers

MOMENTUM, EPSILON = 0.1, 1e-5

NORMALIZATIONS: dict[
    str, Callable[[int], nn.Module]
] = {  # by the name in the settings: of vectors (..., H), row by row
    "none": lambda width: nn.Identity(),
    "layer": lambda width: nn.LayerNorm(width, elementwise_affine=False),
}


class StackedBatchNorm(nn.Module):
    """Normalises each copy and unit alone (Ioffe and Szegedy, ICML 2015): (S, B, H) -> (S, B, H).

    A training batch of one row has no variance; it is normalised by the running statistics.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, stack: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(stack * width))
        self.shift = nn.Parameter(torch.zeros(stack * width))
        self.register_buffer("mean", torch.zeros(stack * width))
        self.register_buffer("variance", torch.ones(stack * width))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and workers().several:
            raise SettingsError(
                "a model that normalises over a batch, such as 'home', is trained by one worker; leave --workers out"
            )
        stack, rows, width = x.shape
        flat = x.transpose(0, 1).reshape(rows, stack * width)
        normal = nn.functional.batch_norm(
            flat, self.mean, self.variance, self.scale, self.shift, self.training and rows > 1, MOMENTUM, EPSILON
        )
        return normal.view(rows, stack, width).transpose(0, 1)
