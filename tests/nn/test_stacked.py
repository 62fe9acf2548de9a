"""Many copies in one kernel equal single ones in a loop."""

from __future__ import annotations

import torch
from torch import nn

from automtl.nn.stacked import StackedLinear, StackedPerceptron, joined, segments


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


def test_segments_name_the_owner_of_each_unit() -> None:
    assert segments([2, 1, 3]).tolist() == [0, 0, 1, 2, 2, 2]


def test_a_perceptron_ends_without_activation_unless_told() -> None:
    x = torch.randn(2, 200, 3)
    assert (StackedPerceptron(2, 3, [4, 2], generator())(x) < 0).any()
    assert (StackedPerceptron(2, 3, [4, 2], generator(), activate_last=True)(x) >= 0).all()
