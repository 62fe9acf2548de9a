"""Boosted trees beside a network: shares that are chosen on validation rows, and the whole way to a folder and back."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error
from torch import Tensor, nn

from automtl.config import Settings
from automtl.data.batch import Batch, Features
from automtl.data.schema import Task
from automtl.errors import SettingsError
from automtl.models.blend import SHARES, Blend, best_shares, blend
from automtl.models.network import count_parameters
from automtl.models.settings import NetworkSettings
from automtl.models.trees import TreeModel
from automtl.predictor import Predictor
from automtl.recipes import Roles, Run, fit_table
from automtl.training.boosting import TreeSettings
from automtl.training.fit import TrainingSettings, predict_logits
from tests.models.test_trees import LAYOUT, SETTINGS, TASKS, rows, trained


class Constant(nn.Module):
    """The same logits for all rows."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, features: Features) -> Tensor:
        return self.logits.expand(len(features.categorical), -1)


def noisy(batch: Batch, seed: int) -> Tensor:
    """Logits that know something of the labels."""
    noise = torch.randn(batch.labels.shape, generator=torch.Generator().manual_seed(seed))
    return batch.labels * torch.tensor([2.0, 1.0]) + noise * torch.tensor([1.0, 6.0])


def test_the_share_is_the_best_of_a_plain_loop() -> None:
    valid = replace(rows(), weight=torch.rand(600, generator=torch.Generator().manual_seed(3)) + 0.1)
    first, second = noisy(valid, 1), noisy(valid, 2)
    labels, weight = valid.labels.numpy(), valid.weight.numpy()
    losses: list[list[float]] = [[], []]
    for share in np.linspace(0, 1, SHARES):
        mixed = ((1 - share) * first + share * second).double().numpy()
        losses[0].append(log_loss(labels[:, 0], 1 / (1 + np.exp(-mixed[:, 0])), sample_weight=weight))
        losses[1].append(mean_squared_error(labels[:, 1], mixed[:, 1], sample_weight=weight))
    expected = [np.argmin(each) / (SHARES - 1) for each in losses]
    assert all(0 < share < 1 for share in expected)
    torch.testing.assert_close(best_shares(first, second, valid, TASKS), torch.tensor(expected).float())


def test_a_task_without_validation_rows_has_no_trees() -> None:
    valid = rows()
    empty = replace(valid, mask=valid.mask * torch.tensor([1.0, 0.0]))
    assert best_shares(noisy(valid, 1), noisy(valid, 2), empty, TASKS)[1] == 0


def test_scores_are_mixed_by_the_shares() -> None:
    network, trees, batch = Constant([0.5, -1.0]), trained(rows()), rows(seed=2)
    model = Blend(network, trees)
    alone = predict_logits(model, batch)
    torch.testing.assert_close(alone, torch.tensor([[0.5, -1.0]]).expand(600, 2))
    model.share = torch.tensor([1.0, 0.25])
    mixed, of_trees = predict_logits(model, batch), predict_logits(trees, batch)
    torch.testing.assert_close(mixed[:, 0], of_trees[:, 0])
    torch.testing.assert_close(mixed[:, 1], 0.75 * -1.0 + 0.25 * of_trees[:, 1])
    assert count_parameters(model) == 2 + trees.num_parameters


def test_no_stage_of_a_funnel_is_more_probable_than_the_one_before() -> None:
    chained = (Task("buy", after="click"), Task("click"))
    trees = TreeModel(replace(LAYOUT, tasks=chained), NetworkSettings(), torch.Generator())
    model = Blend(Constant([1.0, -1.0]), trees)
    trees.forward = lambda features: torch.tensor([[2.0, 0.0]]).expand(len(features.categorical), -1)  # type: ignore[method-assign]
    model.share = torch.tensor([0.5, 0.5])
    assert predict_logits(model, rows(4)).tolist() == [[-0.5, -0.5]] * 4


def test_trees_that_help_are_kept_and_trees_that_do_not_are_left_out() -> None:
    ignorant = Constant([0.0, 0.0])
    found = blend(ignorant, LAYOUT, rows(), rows(seed=1), SETTINGS, 0)
    assert isinstance(found, Blend) and found.share.min() > 0.5
    assert not found.training

    class Knowing(nn.Module):
        """Reads the answer off the inputs."""

        def forward(self, features: Features) -> Tensor:
            score = 2.0 * (features.categorical[:, 1] % 2) + features.numeric[:, 0]
            return torch.stack([1000 * (score - 1), 10 * score + 3], dim=1)

    knowing = Knowing()
    assert blend(knowing, LAYOUT, rows(), rows(seed=1), SETTINGS, 0) is knowing


def test_rows_beyond_the_bound_are_not_read() -> None:
    few = replace(SETTINGS, trees=replace(SETTINGS.trees, max_rows=200))
    model = TreeModel(LAYOUT, NetworkSettings(), torch.Generator())
    model.learn(rows(), rows(seed=1), few, 0, lambda event: None, "trees")
    assert model.texts() != trained(rows()).texts()
    counts = [line.split("=")[1] for line in model.texts()[0].splitlines() if line.startswith("internal_count=")]
    assert counts and max(int(count.split()[0]) for count in counts) <= 200


def fitted(log: pl.DataFrame, settings: Settings) -> Run:
    return fit_table(log, ["click", "buy"], roles=Roles(drop=("like", "cart")), settings=settings)


def small_trees(settings: Settings) -> Settings:
    return replace(settings, training=replace(settings.training, trees=TreeSettings(rounds=30, min_leaf_rows=10)))


def test_a_searched_model_has_trees_and_comes_back_from_its_folder(
    log: pl.DataFrame, tiny: Settings, tmp_path: Path
) -> None:
    run = fitted(log, small_trees(tiny))
    assert isinstance(run.predictor.network, Blend)
    shares = run.metrics["trees"]
    assert set(shares) == {"click", "buy"} and 0 < max(shares.values()) <= 1
    folder = run.save(tmp_path / "run").folder
    assert folder is not None and (folder / "trees.1.txt").is_file()
    back = Predictor.load(folder)
    assert back.predict(log).equals(run.predictor.predict(log))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"boosted trees: click {shares['click']:.0%}" in page


def test_the_setting_decides_who_has_trees(log: pl.DataFrame, tiny: Settings) -> None:
    small = small_trees(replace(tiny, search=replace(tiny.search, trial_rows=0)))
    assert not isinstance(fitted(log, replace(small, with_trees=False)).predictor.network, Blend)
    published = replace(small, model="shared-bottom")
    assert not isinstance(fitted(log, published).predictor.network, Blend)
    assert isinstance(fitted(log, replace(published, with_trees=True)).predictor.network, Blend)
    with pytest.raises(SettingsError, match="is trees already"):
        fitted(log, replace(small, model="lightgbm", with_trees=True))


def test_without_lightgbm_a_search_goes_on_and_says_so(
    log: pl.DataFrame, tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    run = fitted(log, tiny)
    assert "install automtl[trees]" in run.metrics["trees"]
    with pytest.raises(SettingsError, match="LightGBM cannot be loaded"):
        fitted(log, replace(tiny, with_trees=True))


def test_training_settings_reach_the_trees() -> None:
    rounds = TrainingSettings(trees=TreeSettings(rounds=3, min_leaf_rows=5))
    found = blend(Constant([0.0, 0.0]), LAYOUT, rows(), rows(seed=1), rounds, 0)
    assert isinstance(found, Blend)
    assert found.trees.boosters[0].num_trees() == 3
