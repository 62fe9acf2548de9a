"""Steps of a training: gradients cut to a norm."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from automtl.training.updates import clip


@pytest.mark.parametrize("limit", [10.0, 2.5])
def test_gradients_are_cut_as_torch_cuts_them_and_others_with_them(limit: float) -> None:
    """A gradient of some rows stands in for the whole one of a table; a parameter may have none."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator) for shape in ((3, 4), (5,))]
    theirs = [nn.Parameter(torch.zeros_like(each)) for each in drawn]
    for parameter, gradient in zip(theirs, drawn, strict=True):
        parameter.grad = gradient.clone()
    nn.utils.clip_grad_norm_(theirs, limit, foreach=True)
    first, without = nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(2))
    first.grad, rows = drawn[0].clone(), SimpleNamespace(grad=drawn[1].clone())
    clip([first, without, rows], limit)
    assert torch.equal(first.grad, theirs[0].grad) and torch.equal(rows.grad, theirs[1].grad)
    assert torch.equal(rows.grad, drawn[1]) == (limit == 10.0)
