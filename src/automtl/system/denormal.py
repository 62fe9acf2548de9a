"""Protection from denormal numbers, with which products take a CPU up to thirty times as long.

Weight decay drives the weights of dead units below 1e-38 within a few hundred steps of Adam, and momentum without
gradients follows. The processor can be told to treat such numbers as zero, but each thread for itself, and the threads
of a library that imports this one may exist already. So they are also removed where they arise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

TINY = 1e-20  # the square of a number below it is lost in single precision
EVERY = 100  # steps between removals


@contextmanager
def ignore_denormals() -> Iterator[None]:
    """Let this thread read and write denormal numbers as zero in this block.

    Threads that it starts here (torch's own pool, if it is the first to use it) do so for good.
    """
    before = denormals_are_ignored()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def denormals_are_ignored() -> bool:
    """Tell whether this thread takes denormal numbers for zero, which torch can set, but does not say."""
    return not float(torch.tensor([1e-38]) * 0.1)


@torch.no_grad()
def remove_tiny(optimizer: torch.optim.Optimizer) -> None:
    """Zero what is smaller than TINY among the parameters and their momentum."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            kept = optimizer.state.get(parameter, {}).values()
            for values in (parameter, *(v for v in kept if isinstance(v, torch.Tensor) and v.shape == parameter.shape)):
                values.masked_fill_(values.abs() < TINY, 0.0)
