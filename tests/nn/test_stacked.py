"""Many copies in one kernel equal single ones in a loop."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from automtl.nn.stacked import StackedLinear, StackedPerceptron, chosen, joined, layer


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_stacked_maps_equal_single_maps() -> None:
    stacked, x = StackedLinear(3, 5, 4, generator()), torch.randn(3, 7, 5)
    with torch.no_grad():
        stacked.bias.normal_()
    plain = torch.stack([nn.functional.linear(x[i], stacked.weight[i].T, stacked.bias[i, 0]) for i in range(3)])
    torch.testing.assert_close(stacked(x), plain)


def test_joined_parts_stand_side_by_side_and_one_part_is_itself() -> None:
    parts = [torch.randn(2, 3, size) for size in (1, 4, 2)]
    assert torch.equal(joined(parts, 2), torch.cat(parts, dim=2))
    assert joined(parts[:1], 2) is parts[0]


@pytest.mark.parametrize("places", [[0, 1, 2, 3], [1, 2], [3], [2, 0], [1, 1, 3]])
def test_chosen_places_are_those_of_an_index_gradients_included(places: list[int]) -> None:
    values, probe = torch.randn(4, 3, requires_grad=True), torch.randn(len(places), 3)
    found, wanted = chosen(values, places), values[places]
    assert torch.equal(found, wanted) and torch.equal(chosen(values.T, places, 1), wanted.T)
    ours, theirs = (torch.autograd.grad((one * probe).sum(), values)[0] for one in (found, wanted))
    torch.testing.assert_close(ours, theirs)


def test_a_perceptron_ends_without_activation_unless_told() -> None:
    x = torch.randn(2, 200, 3)
    assert (StackedPerceptron(2, 3, [4, 2], generator())(x) < 0).any()
    assert (StackedPerceptron(2, 3, [4, 2], generator(), activate_last=True)(x) >= 0).all()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("activate", [False, True])
@pytest.mark.parametrize("out", [1, 4])
def test_a_layer_equals_plain_products_gradients_included(shared: bool, activate: bool, out: int) -> None:
    torch.manual_seed(0)
    x = torch.randn((7, 5) if shared else (3, 7, 5), requires_grad=True)
    weight, bias = torch.randn(3, 5, out, requires_grad=True), torch.randn(3, 1, out, requires_grad=True)
    mask = (torch.rand(3, 7, out) > 0.4) * 1.5 if activate else None
    above, values = torch.randn(3, 7, out), [x, weight, bias]

    copies = []
    for copy in range(3):
        one = (x if shared else x[copy]) @ weight[copy] + bias[copy]
        copies.append(torch.relu(one) * mask[copy] if mask is not None else one)
    plain = torch.stack(copies)
    fused = layer(x, weight, bias, activate=activate, mask=mask, scale=1.5)
    torch.testing.assert_close(fused, plain)
    wanted = torch.autograd.grad(plain, values, above)
    for found, gradient in zip(torch.autograd.grad(fused, values, above), wanted, strict=True):
        torch.testing.assert_close(found, gradient)


def test_a_layer_follows_autocast() -> None:
    linear, x = StackedLinear(2, 8, 4, generator()), torch.randn(6, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = linear(x)
    assert out.dtype is torch.bfloat16
    out.float().sum().backward()
    assert x.grad is not None and x.grad.dtype is torch.float32
    torch.testing.assert_close(out.float(), linear(x), atol=0.05, rtol=0.05)


def test_the_gradient_of_a_shared_input_in_16_bits_is_rounded_once() -> None:
    """Each of its numbers is the exact sum over all copies, but for the last rounding."""
    torch.manual_seed(0)
    x, weight = torch.randn(9, 6).bfloat16().requires_grad_(), torch.randn(8, 6, 5).bfloat16()
    above = torch.randn(8, 9, 5).bfloat16()
    (found,) = torch.autograd.grad(layer(x, weight, torch.zeros(8, 1, 5).bfloat16()), x, above)
    exact = torch.einsum("sbo,sio->bi", above.double(), weight.double())
    error = (found.double() - exact).abs() / exact.abs().clamp(min=0.1)
    assert found.dtype is torch.bfloat16
    assert float(error.max()) < 2**-8 + 1e-4
