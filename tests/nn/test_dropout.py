"""Dropout: rate, scale, gradient, evaluation."""

from __future__ import annotations

import pytest
import torch

from automtl.nn.dropout import Dropout
from automtl.system.randomness import seeded


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_rate_is_kept_and_the_mean_too(rate: float) -> None:
    x = torch.ones(4, 1000, 51, requires_grad=True)
    with seeded(0):
        out = Dropout(rate)(x)
    assert float((out == 0).float().mean()) == pytest.approx(rate, abs=0.01)
    assert float(out.detach().mean()) == pytest.approx(1.0, abs=0.01)
    out.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, out.detach())


def test_evaluation_and_rate_zero_change_nothing() -> None:
    x = torch.randn(3, 7)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_the_seed_decides() -> None:
    x = torch.ones(5, 33)
    with seeded(3):
        first = Dropout(0.3)(x)
    with seeded(3):
        assert torch.equal(Dropout(0.3)(x), first)


def test_a_rate_close_to_one_leaves_something() -> None:
    out = Dropout(0.9999)(torch.ones(100_000))
    assert torch.isfinite(out).all() and out.any()
