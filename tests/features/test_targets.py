"""Quantities that are cut, logged and standardized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.features.targets import Targets
from automtl.tables.schema import Field, FieldKind, Schema, Task, TaskKind
from automtl.training.evaluation import Evaluator, to_scores
from automtl.training.losses import MultiTaskLoss
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
    torch.testing.assert_close(targets.inverse(targets(labels)), cut.double())


@pytest.mark.parametrize(("size", "spread"), [(1.7e12, 4e4), (1e-9, 1e-10), (-3.0, 0.5)])
def test_quantities_of_any_size_are_learned_as_numbers_around_0_and_given_back(size: float, spread: float) -> None:
    schema = Schema((Field("a", FieldKind.NUMERIC),), (Task("t0"), Task("t1", KIND), Task("t2", KIND, scale=2.0)))
    labels = size + spread * np.random.default_rng(0).normal(size=500)
    held = np.arange(500) % 5 > 0
    columns = {"a": labels, "t0": held * 1, "t1": pl.Series(labels).set(pl.Series(~held), None), "t2": labels}
    encoder, rows = Encoder.fit(pl.DataFrame(columns), schema, EncoderSettings(), seed=0)
    tasks = encoder.schema.tasks
    assert tasks[1].center == pytest.approx(labels[held].mean(), rel=1e-15)
    assert tasks[1].scale == pytest.approx(labels[held].std(), rel=1e-6)
    assert tasks[0] == schema.tasks[0] and tasks[2].scale == 2.0
    np.testing.assert_array_equal(rows.labels.numpy(), np.stack([held, labels * held, labels], axis=1))
    learned = Targets(tasks)(rows.labels)[held]
    assert learned.dtype == torch.float32 and learned[:, 1].std(correction=0) == pytest.approx(1, rel=1e-5)
    assert (Targets(tasks).inverse(learned)[:, 1].numpy() - labels[held]).std() < 1e-7 * spread


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


def test_a_saved_model_without_scales_has_learned_labels_as_they_are() -> None:
    schema = Schema(
        (Field("a", FieldKind.NUMERIC),), (Task("t0"), Task("t1", KIND), Task("t2", KIND, center=3, scale=2))
    )
    found = schema.with_scales()
    assert [(task.center, task.scale) for task in found.tasks] == [(None, None), (0.0, 1.0), (3.0, 2.0)]
    assert found.with_scales() is found
