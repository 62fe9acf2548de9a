"""Gradients cut to a norm."""

import pytest
import torch

from automtl.training.clipping import clip


@pytest.mark.parametrize(("limit", "expected"), [(10.0, [3.0, 4.0]), (2.5, [1.5, 2.0])])
def test_gradients_are_cut_only_where_they_are_longer_than_the_limit(limit: float, expected: list[float]) -> None:
    gradients = [torch.tensor([3.0]), torch.tensor([[4.0]])]
    clip(gradients, limit)
    assert [float(gradient) for gradient in gradients] == pytest.approx(expected, abs=1e-5)
