"""The bound for tensors of a network that somebody else describes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from automtl.errors import FileError
from automtl.nn.allocation_limit import SMALL_COUNT, AllocationLimit

HUGE = 1 << 40


@pytest.mark.parametrize(
    "made",
    [
        lambda: torch.empty(HUGE, 4), lambda: torch.zeros(HUGE), lambda: torch.ones(HUGE, dtype=torch.bool),
        lambda: torch.randint(2, (HUGE,), generator=torch.Generator()), lambda: torch.eye(1 << 20),
        lambda: torch.arange(HUGE), lambda: torch.zeros(1 << 20).repeat(1 << 20), lambda: torch.full((HUGE,), 1.0),
        lambda: [torch.zeros(1) for _ in range(SMALL_COUNT + 1)], lambda: [torch.empty(1 << 22) for _ in range(5)],
    ],
)  # fmt: skip
def test_what_is_larger_is_refused_before_it_is_made(made: Callable[[], object]) -> None:
    with pytest.raises(FileError, match="larger than its weights"), AllocationLimit(0):
        made()


def test_what_the_weights_hold_is_made() -> None:
    with AllocationLimit(1 << 25):
        assert torch.nn.Linear(1 << 12, 1 << 11).weight.sum().isfinite()
