"""Expert layers against torch's own."""

from __future__ import annotations

import torch
from torch import nn

from automtl.nn.layers import ConvolutionMixture, MLPMixture, StackedHiddenGate
from automtl.nn.shape import BlockShape

SHAPE = BlockShape(5, 4, 8)


def test_convolutions_equal_torchs_with_same_padding() -> None:
    mixture = ConvolutionMixture([1, 3, 5, 7], 2, SHAPE, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for bias in mixture.bias:
            bias.normal_()
    x, weights = torch.randn(2, 6, 8), torch.rand(2, 4)
    for copy in range(2):
        plain = torch.zeros(6, 8)
        for k in range(4):
            kernel = mixture.weight[k][copy].reshape(1, 1, -1)
            found = nn.functional.conv1d(x[copy].unsqueeze(1), kernel, mixture.bias[k][copy], padding="same")
            plain = plain + weights[copy, k] * found.squeeze(1)
        torch.testing.assert_close(mixture(x, weights, range(4))[copy], plain, rtol=1e-4, atol=1e-5)


def test_perceptrons_equal_linear_relu_linear() -> None:
    mixture = MLPMixture([3, 6], 2, SHAPE, torch.Generator().manual_seed(0))
    x, weights = torch.randn(2, 6, 8), torch.rand(2, 2)
    first, second = (torch.relu(x @ mixture.expand[k] + mixture.expand_bias[k]) @ mixture.contract[k] for k in (0, 1))
    plain = weights[:, :1, None] * first + weights[:, 1:, None] * second
    torch.testing.assert_close(mixture(x, weights, (0, 1)), plain, rtol=1e-4, atol=1e-5)


def test_a_hidden_gate_lies_between_nothing_and_the_input() -> None:
    gate = StackedHiddenGate(2, SHAPE, torch.Generator().manual_seed(0))
    x = torch.randn(2, 6, 8).abs()
    out = gate(x)
    assert ((out > 0) & (out < x)).all()
