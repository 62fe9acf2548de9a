"""The perceptron equals its definition, gradients included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from automtl.nn.perceptron import perceptron
from automtl.system.hardware import has_bf16


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


@pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this processor has no instructions for bf16")
def test_in_bf16_outputs_and_gradients_are_those_of_the_definition_to_three_digits() -> None:
    values = inputs(2, 20, 6, 11, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = perceptron(*values)
    assert low.dtype == torch.bfloat16
    plain = definition(*values)
    for a, b in zip(torch.autograd.grad(low.float().sum(), values), torch.autograd.grad(plain.sum(), values)):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.03 * float(b.abs().max()))
