"""What every balancing obeys."""

from __future__ import annotations

import json
import math
from pathlib import Path

import polars as pl
import pytest
import torch

from automtl.config import make_settings
from automtl.experiment import ColumnRoles, fit_table
from automtl.features.batch import Batch
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.tables.schema import Task
from automtl.training.fit import FitResult, fit
from automtl.training.settings import BALANCINGS, TrainingSettings
from tests.conftest import TINY, small_batch, small_layout

NETWORK = NetworkSettings(embedding_size=4, width=8, towers=(4,), dropout=0.2)
every = pytest.mark.parametrize("name", BALANCINGS)


def train(name: str, batch: Batch, tasks: int = 3, **changes: object) -> tuple[FitResult, torch.nn.Module]:
    settings = TrainingSettings(epochs=4, batch_size=16, learning_rate=0.01, balancing=name, **changes)  # type: ignore[arg-type]
    model = MODELS.find("mmoe")(small_layout(tasks), NETWORK, torch.Generator().manual_seed(1))
    named = tuple(Task(f"t{index}") for index in range(tasks))
    return fit(model, batch, small_batch(60, tasks, seed=2), named, settings, 3), model


@every
def test_it_trains_a_log_and_the_run_folder_predicts_the_same(name: str, log: pl.DataFrame, tmp_path: Path) -> None:
    training = {"epochs": 3, "batch_size": 128, "learning_rate": 0.01, "balancing": name}
    settings = make_settings({**TINY, "training": training, "model": "mmoe", "presets": []})
    roles = ColumnRoles(drop=("like", "cart"))
    run = fit_table(log, ["click", "buy"], roles=roles, settings=settings, out=tmp_path / "run")
    checks = run.history["training"]["evaluations"]
    assert all(math.isfinite(check["train_loss"]) and math.isfinite(check["loss"]) for check in checks)
    assert min(check["train_loss"] for check in checks) < 0.97 * checks[0]["train_loss"]
    assert run.metrics["validation"]["tasks"]["click"]["auc"] > 0.55
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["training"]["balancing"] == name
    assert Predictor.load(tmp_path / "run").predict(log).equals(run.predictor.predict(log))


@every
@pytest.mark.parametrize("updates", ["dense", "row-wise"])
def test_the_same_seed_gives_the_same_weights(name: str, updates: str) -> None:
    (first, one), (second, other) = (train(name, small_batch(80), embedding_updates=updates) for _ in range(2))
    assert first.evaluations == second.evaluations
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@every
def test_one_task_is_plain_training(name: str) -> None:
    (found, model), (plain, other) = (train(each, small_batch(80, 1), 1) for each in (name, "equal"))
    assert found.evaluations == plain.evaluations
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@every
def test_labels_that_are_masked_change_nothing(name: str) -> None:
    batch = small_batch(80)
    batch.mask[:40, 1] = 0  # some batches have no row of this task
    changed = Batch(
        batch.features, torch.where(batch.mask > 0, batch.labels, 1 - batch.labels), batch.mask, batch.weight
    )
    assert not torch.equal(batch.labels, changed.labels)
    (found, model), (same, other) = train(name, batch), train(name, changed)
    assert found.evaluations == same.evaluations
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@every
def test_a_task_that_most_batches_lack_does_not_stop_the_others(name: str) -> None:
    batch = small_batch(160)
    batch.labels[:, 0] = (batch.features.categorical[:, 0] > 4).float()
    batch.mask[:, 0] = 1
    batch.mask[4:, 2] = 0
    found, _ = train(name, batch)
    assert all(math.isfinite(check.train_loss) for check in found.evaluations)
    assert found.evaluations[-1].train_loss < 0.98 * found.evaluations[0].train_loss
