"""Metrics agree with scikit-learn and plain loops."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score
from sklearn.metrics import log_loss as entropy

from automtl.errors import SchemaError
from automtl.features.batch import Batch
from automtl.tables.schema import Task, TaskKind
from automtl.training.evaluation import scores_of
from automtl.training.losses import MultiTaskLoss
from automtl.training.metrics import (
    METRICS,
    Metric,
    Rows,
    Undefined,
    check_metrics,
    evaluate,
    evaluate_stages,
    fast_auc,
    fast_pr_auc,
    gauc,
    mtl_loss,
    ndcg,
    normalized_entropy,
    primary_metric,
    stage_scores,
)
from tests.conftest import small_batch


@given(st.integers(0, 10_000))
def test_fast_areas_equal_scikit_learn_with_ties_and_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores, weights = rng.integers(0, 2, 40), rng.integers(0, 6, 40) / 5, rng.random(40)
    labels[:2] = [0, 1]
    for fast, known in ((fast_auc, roc_auc_score), (fast_pr_auc, average_precision_score)):
        assert fast(Rows(labels, scores, weights)) == pytest.approx(
            known(labels, scores, sample_weight=weights), abs=1e-9
        )


@pytest.mark.parametrize("metric", METRICS.members().values(), ids=METRICS)
def test_no_metric_depends_on_how_many_rows_are_judged_at_a_time(metric: Metric, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(3)
    labels, weights = rng.integers(0, 2, 500).astype(np.float32), rng.random(500, np.float32)
    rows = Rows(labels, rng.integers(1, 100, 500) / 101, weights, rng.integers(0, 60, 500))
    whole = metric(rows)
    monkeypatch.setattr("automtl.training.metrics.SLICE_ROWS", 7)
    monkeypatch.setattr("automtl.training.metrics.LIBRARY_ROWS", 0)
    assert metric(rows) == pytest.approx(whole, abs=1e-12)


def test_gauc_is_the_weighted_mean_over_groups_with_both_classes() -> None:
    rng = np.random.default_rng(0)
    labels, scores, group = rng.integers(0, 2, 60).astype(float), rng.random(60), rng.integers(0, 13, 60)
    values, sizes = [], []
    for one in range(1, 13):  # 0 is no group
        own = group == one
        if 0 < labels[own].sum() < own.sum():
            values.append(roc_auc_score(labels[own], scores[own]))
            sizes.append(own.sum())
    found = gauc(Rows(labels, scores, np.ones(60), group))
    assert found == pytest.approx(np.average(values, weights=sizes))


@pytest.mark.parametrize("metric", METRICS.members().values(), ids=METRICS)
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


def test_metrics_of_many_rows_hold_some_bytes_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automtl.training.metrics.SLICE_ROWS", 1000)
    monkeypatch.setattr("automtl.training.metrics.LIBRARY_ROWS", 0)
    rng, count = np.random.default_rng(0), 100_000
    labels = torch.from_numpy(rng.integers(0, 2, (count, 2))).float()
    group = torch.from_numpy(rng.integers(1, count // 20, count))
    batch = Batch(small_batch(1).features, labels, torch.ones(count, 2), torch.ones(count), group)
    scores = rng.random((count, 2))
    tracemalloc.start()
    evaluate(lambda index: scores[:, index], batch, [Task("a"), Task("b")])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 * count


def test_mtl_loss_is_the_loss_that_training_minimises() -> None:
    batch, tasks = small_batch(), [Task("t0", weight=3.0), Task("t1"), Task("t2")]
    logits = torch.randn(40, 3)
    found = evaluate(scores_of(logits, tasks), batch, tasks)
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


def test_ndcg_is_scikit_learns_of_each_group_ties_included() -> None:
    rng = np.random.default_rng(0)
    labels, scores, group = rng.integers(0, 2, 80).astype(float), rng.integers(0, 4, 80) / 3, rng.integers(0, 7, 80)
    values = [ndcg_score([labels[group == one]], [scores[group == one]]) for one in range(1, 7)]  # 0 is no group
    found = ndcg(Rows(labels, scores, np.ones(80), group))
    assert found == pytest.approx(np.average(values, weights=np.bincount(group)[1:]))


def test_normalized_entropy_is_one_for_the_base_rate() -> None:
    labels = np.array([1.0, 0, 0, 0])
    assert normalized_entropy(Rows(labels, np.full(4, 0.25), np.ones(4))) == pytest.approx(1)
    scores = np.array([0.9, 0.2, 0.1, 0.1])
    base = entropy(labels, np.full(4, 0.25))
    assert normalized_entropy(Rows(labels, scores, np.ones(4))) == pytest.approx(entropy(labels, scores) / base)


def test_a_task_has_the_metrics_it_names_and_those_that_verdicts_need() -> None:
    batch, scores = small_batch(), np.full((40, 3), 0.4)
    tasks = [Task("t0", metrics=("ndcg", "rmse")), Task("t1", TaskKind.REGRESSION, metrics=("mae",)), Task("t2")]
    found = evaluate(lambda index: scores[:, index], batch, tasks)
    assert set(found["t0"]) == {"auc", "log_loss", "ndcg", "rmse", "rows"}
    assert set(found["t1"]) == {"rmse", "mae", "rows"}
    assert "ndcg" not in found["t2"] and "calibration_error" in found["t2"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task("a", metrics=("acu",)), "task 'a': metric 'acu' is unknown; did you mean 'auc'"),
        (
            Task("a", TaskKind.REGRESSION, metrics=("auc",)),
            "metric 'auc' is not for a regression task; known: rmse, mae",
        ),
    ],
)
def test_a_metric_that_cannot_be_had_is_named(task: Task, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        check_metrics([task])


def test_a_task_has_metrics_of_another_package_by_their_import_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_metrics.py").write_text(
        "from automtl.training.metrics import Metric\n"
        "worst_score = Metric('worst_score', lambda rows: float(rows.scores.min()), larger_is_better=False)\n"
        "auc = Metric('auc', lambda rows: 1.0, larger_is_better=True)\n"
        "number = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task = Task("t0", metrics=("own_metrics:worst_score", "ndcg"))
    scores = np.linspace(0.25, 0.5, 40)
    found = evaluate(lambda index: scores, small_batch(), [task])["t0"]
    assert list(found) == ["auc", "log_loss", "ndcg", "worst_score", "rows"] and found["worst_score"] == 0.25
    for name, message in (
        ("auc", "rename it"),
        ("number", "is not an automtl.training.metrics.Metric"),
        ("no", "has no attribute"),
    ):
        with pytest.raises(SchemaError, match=f"task 'a': .*'own_metrics:{name}'.*{message}"):
            check_metrics([Task("a", metrics=(f"own_metrics:{name}",))])


def test_a_metric_says_which_of_two_values_is_better() -> None:
    assert METRICS.find("auc").gain(0.7, 0.6) > 0 > METRICS.find("rmse").gain(0.7, 0.6)
    assert primary_metric(Task("a")).name == "auc"
    assert primary_metric(Task("a", TaskKind.REGRESSION)).name == "rmse"


def test_naming_metrics_imports_no_torch() -> None:
    code = "import sys, automtl.training.metrics as m; list(m.METRICS); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_funnel_has_ctr_cvr_and_ctcvr_under_their_own_names() -> None:
    tasks = [Task("buy", after="click"), Task("click")]
    labels = torch.tensor([[0, 0], [0, 1], [1, 1], [0, 1], [1, 1.0]])
    batch = Batch(small_batch(5).features, labels, torch.ones(5, 2), torch.ones(5))
    click, given = np.array([0.5, 0.9, 0.8, 0.6, 0.7]), np.array([0.9, 0.2, 0.7, 0.75, 0.9])
    scores = [click * given, click].__getitem__
    named = stage_scores(scores, tasks)
    assert list(named) == ["click_ctr", "buy_cvr", "buy_ctcvr"]
    np.testing.assert_allclose(named["buy_cvr"], given)
    found = evaluate_stages(scores, batch, tasks)
    assert found["buy_cvr"]["rows"] == 4 and found["buy_ctcvr"]["rows"] == 5
    assert found["buy_cvr"]["auc"] == pytest.approx(roc_auc_score(labels[1:, 0], given[1:]))
    assert evaluate_stages(scores, batch, tasks[1:]) == {}
