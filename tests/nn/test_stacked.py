"""Many copies in one kernel equal single ones in a loop."""

from __future__ import annotations

import torch
from torch import nn

from automtl.nn.stacked import SegmentedLinear, StackedLinear, StackedPerceptron, segments


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_stacked_maps_equal_single_maps() -> None:
    stacked, x = StackedLinear(3, 5, 4, generator()), torch.randn(3, 7, 5)
    with torch.no_grad():
        stacked.bias.normal_()
    plain = torch.stack([nn.functional.linear(x[i], stacked.weight[i].T, stacked.bias[i, 0]) for i in range(3)])
    torch.testing.assert_close(stacked(x), plain)


def test_segments_are_mapped_apart_and_summed_by_weight() -> None:
    sizes, weights = [2, 5, 1], torch.rand(2, 3)
    linear, x = SegmentedLinear(2, sizes, 4, generator()), torch.randn(2, 6, 8)
    with torch.no_grad():
        linear.bias.normal_()
    total = torch.zeros(2, 6, 4)
    for copy in range(2):
        start = 0
        for k, size in enumerate(sizes):
            part = slice(start, start + size)
            mapped = x[copy, :, part] @ linear.weight[copy, part] + linear.bias[copy, k]
            total[copy] += weights[copy, k] * mapped
            start += size
    torch.testing.assert_close(linear(x, weights), total)


def test_each_segment_is_drawn_by_its_own_fan_in() -> None:
    linear = SegmentedLinear(1, [1, 10_000], 4, generator())
    assert linear.weight[0, 1:].abs().max() <= 0.01
    assert linear.weight[0, 0].abs().max() > 0.01


def test_segments_name_the_owner_of_each_unit() -> None:
    assert segments([2, 1, 3]).tolist() == [0, 0, 1, 2, 2, 2]


def test_a_perceptron_ends_without_activation_unless_told() -> None:
    x = torch.randn(2, 200, 3)
    assert (StackedPerceptron(2, 3, [4, 2], generator())(x) < 0).any()
    assert (StackedPerceptron(2, 3, [4, 2], generator(), activate_last=True)(x) >= 0).all()
