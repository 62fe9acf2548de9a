"""A refitted model is judged by its losses on the newest rows, and by whether it has learned something."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from automtl.experiment.acceptance import Acceptance, base_logits, judge, recorded_skills
from automtl.experiment.waterfall import waterfall
from automtl.features.batch import Batch, Features
from automtl.tables.schema import Task, TaskKind

TASKS = (Task("click"), Task("amount", kind=TaskKind.REGRESSION))
ROWS = 2000


@pytest.fixture(scope="module")
def truth() -> Tensor:
    """Return the logits of a perfect model for each task, (N, 2)."""
    return torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture(scope="module")
def rows(truth: Tensor) -> Batch:
    generator = torch.Generator().manual_seed(1)
    clicks = torch.bernoulli(truth[:, 0].sigmoid(), generator=generator)
    amounts = truth[:, 1] + torch.randn(ROWS, generator=generator)
    nothing = torch.zeros(ROWS, 0)
    labels = torch.stack([clicks, amounts], dim=1)
    return Batch(Features(nothing.int(), (), nothing), labels, torch.ones(ROWS, 2), torch.ones(ROWS))


def judged(present: Tensor, refit: Tensor, rows: Batch, skills: dict[str, float] | None = None) -> Acceptance:
    steps: Any = waterfall([("a", "", present), ("b", "", refit)], rows, TASKS)["steps"]
    return judge(present, refit, base_logits(rows, TASKS), rows, TASKS, 0, skills or {}, steps)


def noisy(truth: Tensor, noise: float, seed: int = 2) -> Tensor:
    return truth + noise * torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed))


def test_a_better_model_is_accepted_and_a_worse_one_is_not(truth: Tensor, rows: Batch) -> None:
    good, bad = noisy(truth, 0.3), noisy(truth, 1.5)
    assert judged(bad, good, rows).accepted
    found = judged(good, bad, rows)
    assert not found.accepted and any("MTL-Loss is worse" in reason for reason in found.reasons)
    gain = found.values["mtl_loss"]["gain"]
    assert gain["low"] <= gain["mean"] <= gain["high"] < 0
    assert found.to_dict()["accepted"] is False


def test_a_difference_within_noise_is_accepted(truth: Tensor, rows: Batch) -> None:
    found = judged(noisy(truth, 0.5, 3), noisy(truth, 0.5, 4), rows)
    gain = found.values["mtl_loss"]["gain"]
    assert found.accepted and gain["low"] < 0 < gain["high"]


def test_one_task_that_is_worse_is_enough(truth: Tensor, rows: Batch) -> None:
    present, refit = noisy(truth, 1.0), noisy(truth, 0.2)
    refit[:, 0] = noisy(truth, 3.0)[:, 0]
    found = judged(present, refit, rows)
    assert found.values["mtl_loss"]["gain"]["mean"] > 0
    assert found.reasons == ("its loss on task 'click' is worse, beyond noise",)


def test_what_has_learned_nothing_is_not_accepted_though_its_loss_is_smaller(truth: Tensor, rows: Batch) -> None:
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(5))
    nothing = base_logits(rows, TASKS).expand(ROWS, 2) + 0.01 * truth[order]
    found = judged(noisy(truth, 0.1)[order], nothing, rows)
    assert found.values["mtl_loss"]["gain"]["low"] > 0
    assert not found.accepted and "learned nothing" in found.reasons[0]


def test_a_task_that_lost_its_skill_is_named(truth: Tensor, rows: Batch) -> None:
    refit = truth.clone()
    refit[:, 0] = base_logits(rows, TASKS)[0]
    assert judged(refit, refit, rows, {"click": 0.0}).accepted
    found = judged(refit, refit, rows, {"click": 0.3, "amount": 0.5})
    assert len(found.reasons) == 1 and "little of task 'click'" in found.reasons[0]


def test_recorded_skill_is_the_share_of_the_guesses_loss_that_is_saved() -> None:
    metrics = {"tasks": {"click": {"log_loss": 0.6931 / 2}, "amount": {"rmse": 1.0}}}
    labels = {"test": {"click": {"rows": 10, "mean": 0.5}, "amount": {"rows": 10, "mean": 3.0}}}
    assert recorded_skills(metrics, labels, TASKS) == pytest.approx({"click": 0.5}, abs=1e-4)
