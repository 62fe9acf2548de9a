"""Labels mixed with the scores of a model."""

from __future__ import annotations

import math

import torch

from automtl.tables.schema import Task, TaskKind
from automtl.training.losses import MultiTaskLoss
from automtl.training.soft_labels import with_soft_labels
from tests.conftest import small_batch

TASKS = (Task("click"), Task("buy"), Task("amount", kind=TaskKind.REGRESSION))


def test_the_loss_is_the_weighted_sum_of_both_losses_up_to_a_constant() -> None:
    rows, logits = small_batch(), torch.randn(40, 3)
    loss = MultiTaskLoss(TASKS)
    hard, soft, mixed = (with_soft_labels(rows, logits, weight, TASKS) for weight in (0.0, 1.0, 0.3))
    torch.testing.assert_close(hard.labels, rows.labels)
    rises = []
    for student in torch.randn(2, 40, 3):
        expected = 0.7 * loss.per_task(student, hard) + 0.3 * loss.per_task(student, soft)
        rises.append(loss.per_task(student, mixed) - expected)
    torch.testing.assert_close(rises[0], rises[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(rises[0][:2], torch.zeros(2), rtol=0, atol=1e-5)


def test_the_model_itself_has_the_least_loss_on_its_own_scores() -> None:
    rows, logits = small_batch(), torch.randn(40, 3)
    soft = with_soft_labels(rows, logits, 1.0, TASKS)
    free = logits.clone().requires_grad_()
    MultiTaskLoss(TASKS)(free, soft).backward()
    torch.testing.assert_close(free.grad, torch.zeros(40, 3), rtol=0, atol=1e-6)


def test_weights_and_sampling_of_training_rows_are_in_the_scores() -> None:
    tasks = (Task("click", negative_share=0.1), Task("buy", positive_weight=3.0), TASKS[2])
    rows, logits = small_batch(), torch.randn(40, 3)
    soft = with_soft_labels(rows, logits, 0.5, tasks)
    expected = (logits[:, 0] - math.log(0.1)).sigmoid()
    torch.testing.assert_close(soft.labels[:, 0], (rows.labels[:, 0] + expected) / 2 * rows.mask[:, 0])
    torch.testing.assert_close(soft.labels[:, 1], (logits[:, 1] + math.log(3)).sigmoid() * rows.mask[:, 1])
    free = logits.clone().requires_grad_()
    MultiTaskLoss(tasks, sampled=True).per_task(free, soft)[1].backward()
    torch.testing.assert_close(free.grad, torch.zeros(40, 3), rtol=0, atol=1e-6)


def test_quantities_are_mixed_as_they_are_learned() -> None:
    tasks = (Task("click"), Task("buy"), Task("amount", kind=TaskKind.REGRESSION, transform="log1p"))
    rows, logits = small_batch(), torch.rand(40, 3)
    soft = with_soft_labels(rows, logits, 0.5, tasks)
    expected = ((rows.labels[:, 2].log1p() + logits[:, 2]) / 2).expm1() * rows.mask[:, 2]
    torch.testing.assert_close(soft.labels[:, 2], expected)
