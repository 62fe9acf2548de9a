"""The sliced perceptron equals its definition, gradients included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from automtl.nn import perceptron as module
from automtl.nn.perceptron import perceptron, plain_perceptron

SHAPES = {"one slice": (2, 5, 3, 7, 4), "many slices": (3, 150, 6, 11, 5), "wide": (2, 1024, 16, 600, 8)}


def inputs(stack: int, rows: int, width: int, hidden: int, out: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(stack, rows, width), (stack, width, hidden), (stack, 1, hidden), (stack, hidden, out), (stack, hidden)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in [*shapes, (stack, 1, out)]]


@pytest.mark.parametrize("needed", [range(6), [0, 4], [1, 3], [4]])
@pytest.mark.parametrize("name", SHAPES)
def test_sliced_equals_plain(name: str, needed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WIDE", 1)
    monkeypatch.setattr(module, "BUFFER", 100_000 if name == "wide" else 90)
    values = inputs(*SHAPES[name])
    for index, value in enumerate(values):
        value.requires_grad_(index in needed)
    wanted = [value for value in values if value.requires_grad]
    fused, plain = perceptron(*values), plain_perceptron(*values)
    torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-4)
    above = torch.randn(plain.shape, generator=torch.Generator().manual_seed(1))
    for a, b in zip(torch.autograd.grad(fused, wanted, above), torch.autograd.grad(plain, wanted, above)):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))
