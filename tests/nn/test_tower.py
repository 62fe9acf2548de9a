"""Towers."""

from __future__ import annotations

import torch

from automtl.nn.tower import Towers


def test_each_task_has_a_tower_of_its_own() -> None:
    towers, x = Towers(3, 4, (5, 2), torch.Generator().manual_seed(0)), torch.randn(3, 6, 4)
    before = towers(x)
    assert before.shape == (6, 3)
    x[1] += 1
    after = towers(x)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.equal(before[:, 1], after[:, 1])


def test_one_input_for_all_towers_is_as_if_each_had_it() -> None:
    towers, x = Towers(3, 4, (5, 2), torch.Generator().manual_seed(0)), torch.randn(6, 4, requires_grad=True)
    one, each = towers(x), towers(x.expand(3, -1, -1))
    torch.testing.assert_close(one, each)
    (wanted,) = torch.autograd.grad(each.square().sum(), x)
    torch.testing.assert_close(torch.autograd.grad(one.square().sum(), x)[0], wanted)
