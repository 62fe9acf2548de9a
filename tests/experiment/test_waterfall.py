"""The gain of each step of a fit is measured on test rows, with an interval."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from automtl.experiment.waterfall import waterfall
from automtl.features.batch import Batch
from automtl.tables.schema import Task, TaskKind
from tests.conftest import small_batch

TASKS = (Task("click"), Task("buy"), Task("amount", kind=TaskKind.REGRESSION))


def rows(count: int = 600) -> Batch:
    return small_batch(count)


def logits_of(batch: Batch, strength: float, seed: int = 0) -> Tensor:
    """Noise that is the same at every strength, and what is known of the labels."""
    noise = torch.randn(batch.labels.shape, generator=torch.Generator().manual_seed(seed))
    return strength * batch.labels + noise


def test_each_step_has_its_metric_and_the_gain_over_the_step_before() -> None:
    batch = rows()
    weak, strong = logits_of(batch, 0.2), logits_of(batch, 1.5)
    found = waterfall([("base", "a network", weak), ("ensemble", "more models", strong)], batch, TASKS)["steps"]
    assert [(step["name"], step["what"]) for step in found] == [("base", "a network"), ("ensemble", "more models")]
    keep = batch.mask[:, 0].numpy() > 0
    labels = batch.labels[:, 0].numpy()[keep]
    expected = [roc_auc_score(labels, one[:, 0].numpy()[keep]) for one in (weak, strong)]
    assert [step["test"]["click"] for step in found] == pytest.approx(expected)
    assert found[0]["gain"] is None
    gain = found[1]["gain"]["click"]
    assert gain["mean"] == pytest.approx(expected[1] - expected[0])
    assert 0 < gain["low"] < gain["mean"] < gain["high"]


def test_a_gain_of_regression_is_a_lower_error() -> None:
    batch = rows()
    steps = [("base", "", logits_of(batch, 0.0)), ("better", "", batch.labels * 1.0), ("same", "", batch.labels * 1.0)]
    found = waterfall(steps, batch, TASKS)["steps"]
    assert found[1]["gain"]["amount"]["low"] > 0 and found[1]["test"]["amount"] == 0
    assert found[2]["gain"]["amount"] == {"mean": 0, "low": 0, "high": 0}


def test_rows_of_a_user_are_drawn_together() -> None:
    """Copies of the rows of a user tell nothing new: the interval is that of the users, not that of the rows."""
    batch = rows(100)
    copies = torch.arange(100).repeat_interleave(16)
    alike = replace(batch.take(copies), group=copies + 1)
    steps = [("base", "", logits_of(batch, 0.2)), ("next", "", logits_of(batch, 0.2, seed=1))]
    copied = [(name, what, logits[copies]) for name, what, logits in steps]
    gains = [
        waterfall(given, among, TASKS)["steps"][1]["gain"]["click"]
        for given, among in ((steps, batch), (copied, alike), (copied, replace(alike, group=None)))
    ]
    widths = [gain["high"] - gain["low"] for gain in gains]
    assert widths[1] == pytest.approx(widths[0], rel=0.15)
    assert widths[2] < widths[0] / 2


def test_a_task_without_a_value_has_a_reason_and_no_gain() -> None:
    batch = rows()
    batch = replace(batch, labels=batch.labels * torch.tensor([1.0, 0.0, 1.0]))
    steps = [("base", "", logits_of(batch, 0.1)), ("next", "", logits_of(batch, 0.2))]
    found = waterfall(steps, batch, TASKS)["steps"]
    assert "undefined" in found[0]["test"]["buy"]
    assert set(found[1]["gain"]) == {"click", "amount"}


def test_the_same_seed_gives_the_same_interval() -> None:
    batch = rows(100)
    steps = [("base", "", logits_of(batch, 0.1)), ("next", "", logits_of(batch, 0.2))]
    assert waterfall(steps, batch, TASKS, 3) == waterfall(steps, batch, TASKS, 3)
    assert waterfall(steps, batch, TASKS, 3) != waterfall(steps, batch, TASKS, 4)
