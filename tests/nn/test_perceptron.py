"""The perceptron equals its definition, gradients included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from automtl.nn.perceptron import perceptron


def definition(x: Tensor, expand: Tensor, expand_bias: Tensor, contract: Tensor, share: Tensor, bias: Tensor) -> Tensor:
    hidden = torch.relu(x @ expand + expand_bias)
    return hidden @ (share.unsqueeze(2) * contract) + bias


def inputs(stack: int, rows: int, width: int, hidden: int, out: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(stack, rows, width), (stack, width, hidden), (stack, 1, hidden), (stack, hidden, out), (stack, hidden)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in [*shapes, (stack, 1, out)]]


@pytest.mark.parametrize("needed", [range(6), [0, 4], [1, 3], [4], [0, 3]])
@pytest.mark.parametrize("zero_share", [False, True])
def test_outputs_and_the_gradients_that_are_needed_equal_the_definition(needed: list[int], zero_share: bool) -> None:
    values = inputs(3, 50, 6, 11, 5)
    if zero_share:
        values[4].data[:, ::2] = 0
    for index, value in enumerate(values):
        value.requires_grad_(index in needed)
    wanted = [value for value in values if value.requires_grad]
    fused, plain = perceptron(*values), definition(*values)
    torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-4)
    above = torch.randn(plain.shape, generator=torch.Generator().manual_seed(1))
    for a, b in zip(torch.autograd.grad(fused, wanted, above), torch.autograd.grad(plain, wanted, above)):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))
