"""Metrics agree with scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from automtl.data.schema import Task, TaskKind
from automtl.training.losses import MultiTaskLoss
from automtl.training.metrics import METRICS, Rows, Undefined, evaluate, fast_auc, gauc, mtl_loss
from tests.conftest import small_batch


@given(st.integers(0, 10_000))
def test_fast_auc_equals_scikit_learn_with_ties_and_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores, weights = rng.integers(0, 2, 40), rng.integers(0, 6, 40) / 5, rng.random(40)
    labels[:2] = [0, 1]
    assert fast_auc(labels, scores, weights) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights), abs=1e-9
    )


def test_gauc_is_the_weighted_mean_over_groups_with_both_classes() -> None:
    rng = np.random.default_rng(0)
    labels, scores, group = rng.integers(0, 2, 60).astype(float), rng.random(60), rng.integers(0, 12, 60)
    values, sizes = [], []
    for one in range(12):
        own = group == one
        if 0 < labels[own].sum() < own.sum():
            values.append(roc_auc_score(labels[own], scores[own]))
            sizes.append(own.sum())
    found = gauc(Rows(labels, scores, np.ones(60), group))
    assert found == pytest.approx(np.average(values, weights=sizes))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_prefers_the_truth_and_says_why_it_is_undefined(metric) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    labels, group = rng.integers(0, 2, 400).astype(float), rng.integers(0, 10, 400)
    good, bad = np.clip(labels, 0.05, 0.95), np.clip(1 - labels, 0.05, 0.95)
    first, second = (metric(Rows(labels, scores, np.ones(400), group)) for scores in (good, bad))
    assert (first > second) == metric.larger_is_better
    empty = np.zeros(0)
    assert isinstance(metric(Rows(empty, empty, empty, empty)), Undefined)
    if metric.needs_both:
        one = metric(Rows(np.ones(5), np.ones(5), np.ones(5), np.ones(5)))
        assert isinstance(one, Undefined)
        assert "every label is 1" in one.reason


def test_mtl_loss_is_the_loss_that_training_minimises() -> None:
    batch, tasks = small_batch(), [Task("t0", weight=3.0), Task("t1"), Task("t2")]
    logits = torch.randn(40, 3)
    found = evaluate(logits.double().sigmoid().numpy(), batch, tasks)
    assert mtl_loss(found, tasks) == pytest.approx(float(MultiTaskLoss(tasks)(logits, batch)), abs=1e-6)


def test_masked_labels_leave_other_tasks_alone() -> None:
    batch, loss = small_batch(), MultiTaskLoss([Task("t0"), Task("t1", TaskKind.REGRESSION), Task("t2")])
    logits = torch.randn(40, 3)
    before = loss.per_task(logits, batch)
    batch.mask[:20, 1] = 0
    after = loss.per_task(logits, batch)
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]])
    keep = batch.mask[:, 1] > 0
    torch.testing.assert_close(after[1], (logits - batch.labels)[keep, 1].square().mean())


def test_a_task_without_rows_in_a_batch_has_loss_zero_and_no_gradient() -> None:
    batch, loss = small_batch(), MultiTaskLoss([Task(f"t{i}") for i in range(3)])
    batch.mask[:, 0] = 0
    logits = torch.randn(40, 3, requires_grad=True)
    loss(logits, batch).backward()
    assert logits.grad is not None
    assert not logits.grad[:, 0].any()
