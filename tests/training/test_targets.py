"""Quantities that are cut and logged."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from automtl.tables.schema import Task, TaskKind
from automtl.training.evaluation import Evaluator, to_scores
from automtl.training.losses import MultiTaskLoss
from automtl.training.targets import Targets
from tests.conftest import small_batch

KIND = TaskKind.REGRESSION
TASKS = (Task("t0"), Task("t1", KIND, transform="log1p", clip=(0.0, 50.0)), Task("t2", KIND, clip=(-1.0, 1.0)))


def test_what_is_learned_is_inverted_within_the_range() -> None:
    labels = torch.tensor([[1.0, 7.0, 0.5], [0.0, 100.0, 9.0], [1.0, 0.0, -9.0]])
    targets = Targets(TASKS)
    expected = torch.tensor([[1.0, 8.0, 0.5], [0.0, 51.0, 1.0], [1.0, 1.0, -1.0]])
    expected[:, 1] = expected[:, 1].log()
    torch.testing.assert_close(targets(labels), expected)
    cut = torch.tensor([[1.0, 7.0, 0.5], [0.0, 50.0, 1.0], [1.0, 0.0, -1.0]])
    torch.testing.assert_close(targets.inverse(targets(labels)), cut)


def test_predictions_are_on_the_scale_of_the_table_and_finite() -> None:
    scores = to_scores(torch.tensor([[0.0, 1.0, 3.0], [0.0, 1e30, -3.0]]), TASKS)
    assert scores[0].tolist() == [0.5, pytest.approx(torch.e - 1), 1.0] and scores[1, 1:].tolist() == [50.0, -1.0]
    assert to_scores(torch.tensor([[1e30]]), [Task("t", KIND, transform="log1p")])[0, 0] < float("inf")


def test_the_loss_is_the_squared_error_of_targets_and_the_base_their_mean() -> None:
    batch = small_batch()
    batch = replace(batch, labels=batch.labels * torch.tensor([1.0, 30.0, 1.0]) * batch.mask)
    logits, loss = torch.randn(40, 3), MultiTaskLoss(TASKS)
    squares = (logits[:, 1] - batch.labels[:, 1].log1p()).square()
    mask = batch.mask[:, 1]
    torch.testing.assert_close(loss.per_task(logits, batch)[1], (squares * mask).sum() / mask.sum())
    targets = batch.labels[:, 1][mask > 0].log1p()
    torch.testing.assert_close(Evaluator(batch, TASKS, loss).base[1], targets.var(correction=0))
