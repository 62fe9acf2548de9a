"""Models with members, independent parts or a penalty are trained as these say."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from automtl.features.batch import Features
from automtl.models.baselines.single_task import SingleTask
from automtl.models.settings import NetworkSettings
from automtl.tables.schema import Task, TaskKind
from automtl.training.fit import fit
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings
from tests.conftest import small_batch, small_layout

TASKS = (Task("a"), Task("b", kind=TaskKind.REGRESSION), Task("c", positive_weight=3.0))
SETTINGS = TrainingSettings(
    epochs=1, batch_size=1000, learning_rate=0.01, weight_decay=0.0, averaging=0.0, precision="full"
)


class Members(nn.Module):
    """Two linear members on the numbers; together they give the mean of their logits."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 2 * 2 * 3).view(2, -1, 3))

    def member_logits(self, features: Features) -> Tensor:
        return features.numeric[:, :2] @ self.weight

    def forward(self, features: Features) -> Tensor:
        return self.member_logits(features).mean(0)


def test_the_loss_of_members_is_the_mean_of_their_losses() -> None:
    batch, model, loss = small_batch(), Members(), MultiTaskLoss(TASKS, sampled=True)
    logits = model.member_logits(batch.features)
    alone = torch.stack([loss.per_task(member, batch) for member in logits])
    assert_close(loss.per_task(logits, batch), alone.mean(0))
    assert not torch.allclose(loss.per_task(logits, batch), loss.per_task(logits.mean(0), batch))


def test_training_takes_the_loss_of_members() -> None:
    batch, model, plain = small_batch(), Members(), Members()
    result = fit(model, batch, small_batch(seed=1), TASKS, SETTINGS, 0)
    loss = MultiTaskLoss(TASKS, sampled=True)
    expected = loss.per_task(plain.member_logits(batch.features), batch) @ loss.weights
    assert abs(result.evaluations[0].train_loss - float(expected.detach())) < 1e-5
    assert not torch.equal(model.weight, plain.weight)


def test_independent_tasks_are_each_stopped_at_their_own_best_evaluation() -> None:
    settings = TrainingSettings(epochs=8, batch_size=16, learning_rate=0.05, patience=8)
    layout, valid = small_layout(), small_batch(60, seed=2)
    model = SingleTask(layout, NetworkSettings(embedding_size=4, width=8, towers=(4,)), torch.Generator())
    result = fit(model, small_batch(100), valid, layout.tasks, settings, 0)
    *each, together = result.evaluations
    assert result.best == len(each) == 8
    best = {task: min(one.task_scores[task] for one in each) for task in together.task_scores}
    assert together.task_scores == best
    assert together.score < min(one.score for one in each)


def test_stages_of_a_funnel_stop_together() -> None:
    first, other, last = small_layout().tasks
    chained = (replace(last, after=first.name), other, first)
    model = SingleTask(replace(small_layout(), tasks=chained), NetworkSettings(), torch.Generator())
    assert sorted(sorted(part.tasks) for part in model.independent_parts()) == [[0, 2], [1]]
