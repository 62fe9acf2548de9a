"""Batch normalisation of many copies."""

from __future__ import annotations

import torch

from automtl.nn.normalization import StackedBatchNorm


def test_each_copy_is_a_batch_norm_of_its_own() -> None:
    stacked, x = StackedBatchNorm(3, 4), 2 * torch.randn(3, 50, 4) + 1
    alone = [torch.nn.BatchNorm1d(4) for _ in range(3)]
    for training in (True, False):
        stacked.train(training)
        expected = torch.stack([one.train(training)(part) for one, part in zip(alone, x, strict=True)])
        torch.testing.assert_close(stacked(x), expected)


def test_a_training_batch_of_one_row_is_normalised_by_running_statistics() -> None:
    stacked, x = StackedBatchNorm(2, 3), torch.randn(2, 1, 3)
    torch.testing.assert_close(stacked(x), x / (1 + 1e-5) ** 0.5)
