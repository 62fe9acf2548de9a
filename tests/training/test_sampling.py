"""Negatives that are left out and positives that weigh more: predictions stay probabilities of all rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.trees import TreeModel
from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.tables.schema import Task
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.sampling import sample_negatives
from automtl.training.settings import TrainingSettings

RATES = torch.tensor([[0.02, 0.3], [0.1, 0.05], [0.3, 0.1]])  # by value of the one input, of two labels


def rows(count: int = 30_000) -> Batch:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 3, (count, 1), generator=generator)
    labels = (torch.rand(count, 2, generator=generator) < RATES[ids[:, 0]]).float()
    return Batch(Features(ids, (), torch.zeros(count, 0)), labels, torch.ones(count, 2), torch.ones(count))


def tasks(**options: Any) -> tuple[Task, ...]:
    return (Task("a", **options), Task("b"))


@pytest.mark.parametrize(
    ("model", "options", "share"),
    [
        ("shared-bottom", {"negative_share": 0.1}, None),
        ("shared-bottom", {"positive_weight": 10.0}, None),
        ("shared-bottom", {}, 0.2),
        ("lightgbm", {"positive_weight": 3.0, "negative_share": 0.5}, None),
    ],
)
def test_predictions_are_calibrated_on_all_rows(model: str, options: dict[str, float], share: float | None) -> None:
    if model == "lightgbm":
        pytest.importorskip("lightgbm")
    given = tasks(**options)
    layout = Layout((CategoricalLayout("x", 3),), (), (), given)
    network = MODELS.find(model)(layout, NetworkSettings(4, 8, (8,), dropout=0.0), torch.Generator().manual_seed(0))
    trees = TreeSettings(rounds=40, learning_rate=0.3, row_share=1.0, column_share=1.0)
    settings = TrainingSettings(epochs=5, batch_size=512, learning_rate=1e-2, patience=9)
    if isinstance(network, TreeModel):
        network.settings = trees
    everything = rows()
    sampled = sample_negatives(everything, given, share, 0)
    fit(network, sampled, everything, given, settings, 0)
    probe = Features(torch.arange(3).unsqueeze(1), (), torch.zeros(3, 0))
    found = predict_logits(network, Batch(probe, *[torch.ones(3, 2)] * 3)).sigmoid()
    torch.testing.assert_close(found, RATES, rtol=0.2, atol=0.01)


def test_a_share_of_a_task_leaves_other_tasks_and_positives_alone() -> None:
    before = rows(2000)
    after = sample_negatives(before, tasks(negative_share=0.25), None, 0)
    assert len(after) == 2000 and after.mask[:, 1].all() and after.mask[before.labels[:, 0] > 0, 0].all()
    negatives = before.labels[:, 0] == 0
    assert after.mask[negatives, 0].mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(before.mask, torch.ones(2000, 2))


def test_a_share_of_all_rows_keeps_the_total_weight_about() -> None:
    before = rows(5000)
    after = sample_negatives(before, tasks(), 0.25, 0)
    assert len(after) < 2500 and (after.labels.sum(0) == before.labels.sum(0)).all()
    assert float(after.weight.sum()) == pytest.approx(5000, rel=0.1)


def test_rows_without_a_task_are_gone_and_the_seed_decides() -> None:
    alone = tasks(negative_share=0.5)[:1]
    before = rows(1000)
    before = Batch(before.features, before.labels[:, :1], before.mask[:, :1], before.weight)
    first, again, other = (sample_negatives(before, alone, None, seed) for seed in (0, 0, 1))
    assert len(first) < 600 and first.mask.all() and torch.equal(first.features.categorical, again.features.categorical)
    assert len(other) != len(first)


def test_without_shares_nothing_is_copied() -> None:
    before = rows(10)
    assert sample_negatives(before, tasks(), None, 0) is before
