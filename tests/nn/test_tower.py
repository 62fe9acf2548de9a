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
