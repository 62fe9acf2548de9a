"""Denormal numbers do not stay in parameters."""

from __future__ import annotations

import torch

from automtl.system.denormal import TINY, ignore_denormals, remove_tiny


def test_tiny_parameters_and_momentum_become_zero_and_others_stay() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, -1e-41, 1e-30, -2e-3]))
    optimizer = torch.optim.Adam([parameter])
    parameter.grad = torch.tensor([1.0, 1e-41, 0.0, -1.0])
    optimizer.step()
    with torch.no_grad():
        parameter.copy_(torch.tensor([1.0, -1e-41, 1e-30, -2e-3]))
    optimizer.state[parameter]["exp_avg"][2] = 1e-40
    remove_tiny(optimizer)
    assert torch.equal(parameter.detach(), torch.tensor([1.0, 0.0, 0.0, -2e-3]))
    moments = optimizer.state[parameter]["exp_avg"]
    assert float(moments[2]) == 0.0 and float(moments[0]) != 0.0
    assert not ((moments != 0) & (moments.abs() < TINY)).any()


def test_denormals_are_ignored_in_a_block_alone() -> None:
    def product() -> float:
        return float(torch.tensor([1e-38]) * 0.1)

    assert product() > 0
    with ignore_denormals():
        with ignore_denormals():
            assert product() == 0
        assert product() == 0
    assert product() > 0
