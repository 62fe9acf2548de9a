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

from automtl.config import InputPreset, Settings
from automtl.ensemble.ensemble import PRIOR, Ensemble, Member, best_weights, boosted, combine, trees_of
from automtl.ensemble.settings import TreeSettings
from automtl.errors import SettingsError
from automtl.experiment import ColumnRoles, Run, fit_table
from automtl.features.batch import Batch, Features
from automtl.features.layout import Layout
from automtl.models.network import count_parameters
from automtl.predictor import Predictor
from automtl.system.progress import ignore
from automtl.tables.schema import Task, TaskKind
from automtl.training.evaluation import predict_logits
from tests.ensemble.test_trees import LAYOUT, SETTINGS, TASKS, new_model, rows, trained


class Constant(nn.Module):
    """The same logits for all rows."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, features: Features) -> Tensor:
        return self.logits.expand(len(features.categorical), -1)


def member(model: nn.Module, columns: int = LAYOUT.num_numeric) -> Member:
    return Member("a model", model, columns)


def noisy(batch: Batch, seed: int) -> Tensor:
    """Logits that know something of the labels."""
    noise = torch.randn(batch.labels.shape, generator=torch.Generator().manual_seed(seed))
    return batch.labels * torch.tensor([2.0, 1.0]) + noise * torch.tensor([1.0, 6.0])


def penalized(share: np.ndarray, logits: list[np.ndarray], valid: Batch, task: int) -> float:
    """What the shares of one task are chosen by, in units of one row, written down again."""
    labels, weight, rows = valid.labels[:, task].numpy(), valid.weight.numpy(), len(valid)
    mixed = sum(of * part for of, part in zip(share, logits, strict=True))
    divergence = PRIOR / rows * float(np.sum(share * np.log(np.maximum(share * len(share), 1e-12))))
    if TASKS[task].kind is TaskKind.BINARY:
        return float(log_loss(labels, 1 / (1 + np.exp(-mixed)), sample_weight=weight)) + divergence
    members = [*logits, sum(logits) / len(logits)]
    least = min(mean_squared_error(labels, part, sample_weight=weight) for part in members)
    return float(mean_squared_error(labels, mixed, sample_weight=weight)) / (2 * least) + divergence


@pytest.mark.parametrize("task", [0, 1])
def test_shares_are_the_best_of_a_plain_loop(task: int) -> None:
    valid = replace(rows(), weight=torch.rand(600, generator=torch.Generator().manual_seed(3)) + 0.1)
    logits = [noisy(valid, seed) for seed in (1, 2, 3)]
    found = best_weights(logits, valid, TASKS)[:, task].numpy()
    plain = [part[:, task].double().numpy() for part in logits]
    steps = np.linspace(0, 1, 51)
    grid = [np.array([a, b, 1 - a - b]) for a in steps for b in steps if a + b <= 1]
    best = min(penalized(share, plain, valid, task) for share in grid)
    assert found.sum() == pytest.approx(1, abs=1e-6) and (found > 0).all()
    assert penalized(found, plain, valid, task) <= best + 1e-9


def test_few_rows_leave_members_alike_and_many_do_not() -> None:
    valid = rows()
    good, bad = 4 * valid.labels - 2, torch.zeros_like(valid.labels)
    few = valid.take(slice(0, 4))
    share = best_weights([good[:4], bad[:4]], few, TASKS)[0, 0]
    assert 0.5 < share < 0.6
    assert best_weights([good, bad], valid, TASKS)[0, 0] > 0.95


def test_a_useless_member_has_no_share() -> None:
    valid = rows()
    wrong = 20 * (1 - 2 * valid.labels)
    share = best_weights([noisy(valid, 1), wrong, noisy(valid, 2)], valid, TASKS)[:, 0]
    assert share[1] == 0 and share.sum() == pytest.approx(1)


def test_a_task_without_validation_rows_has_no_trees() -> None:
    valid = rows()
    empty = replace(valid, mask=valid.mask * torch.tensor([1.0, 0.0]))
    assert best_weights([noisy(valid, 1), noisy(valid, 2)], empty, TASKS)[:, 1].tolist() == [1, 0]


def test_scores_are_mixed_by_the_shares() -> None:
    network, trees, batch = Constant([0.5, -1.0]), trained(rows()), rows(seed=2)
    model = Ensemble([member(network), member(trees)], TASKS)
    model.weights = torch.tensor([[0.0, 0.75], [1.0, 0.25]])
    mixed, of_trees = predict_logits(model, batch), predict_logits(trees, batch)
    torch.testing.assert_close(mixed[:, 0], of_trees[:, 0])
    torch.testing.assert_close(mixed[:, 1], 0.75 * -1.0 + 0.25 * of_trees[:, 1])
    assert count_parameters(model) == 2 + trees.num_parameters


def test_no_stage_of_a_funnel_is_more_probable_than_the_one_before() -> None:
    chained = (Task("buy", after="click"), Task("click"))
    model = Ensemble([member(Constant([1.0, -1.0])), member(Constant([2.0, 0.0]))], chained)
    model.weights = torch.full((2, 2), 0.5)
    assert predict_logits(model, rows(4)).tolist() == [[-0.5, -0.5]] * 4


def trees_on(inputs: dict[str, Layout], settings: TreeSettings = SETTINGS) -> list[Member]:
    return boosted({name: (layout, settings) for name, layout in inputs.items()}, rows(), rows(seed=1), 0, ignore)


def test_members_that_help_are_kept_and_members_that_do_not_are_left_out() -> None:
    trees, wrong = trees_on({"trees": LAYOUT}), member(Constant([30.0, 300.0]))
    found = combine([member(Constant([0.0, 0.0])), wrong, *trees], rows(seed=1), TASKS)
    assert found is not None and found.weights[1].min() > 0.5
    assert found.names == ("a model", "trees") and not found.training
    assert combine([trees[0], wrong], rows(seed=1), TASKS) is None


def test_trees_of_fewer_inputs_see_the_first_numeric_columns_alone() -> None:
    trees = trees_on({"all": LAYOUT, "few": replace(LAYOUT, numeric=())})
    assert [one.columns for one in trees] == [LAYOUT.num_numeric, 0]
    batch = rows(seed=2)
    changed = replace(batch, features=replace(batch.features, numeric=batch.features.numeric + 5))
    whole, few = (one.model for one in trees)
    assert torch.equal(few(batch.features.with_numeric(0)), few(changed.features.with_numeric(0)))
    assert not torch.equal(whole(batch.features), whole(changed.features))
    found = combine([member(Constant([0.0, 0.0]), 0), *trees], rows(seed=1), TASKS)
    assert found is not None and found.columns == (0, LAYOUT.num_numeric, 0)
    expected = found.weights[1] * whole(batch.features) + found.weights[2] * few(batch.features.with_numeric(0))
    torch.testing.assert_close(predict_logits(found, batch), expected)


def test_rows_beyond_the_bound_are_not_read() -> None:
    model = new_model(settings=replace(SETTINGS, max_rows=200))
    model.learn(rows(), rows(seed=1), 0, lambda event: None, "trees")
    assert model.files() != trained(rows()).files()
    counts = [
        line.split("=")[1] for line in model.files()[0].decode().splitlines() if line.startswith("internal_count=")
    ]
    assert counts and max(int(count.split()[0]) for count in counts) <= 200


def fitted(log: pl.DataFrame, settings: Settings) -> Run:
    return fit_table(log, ["click", "buy"], roles=ColumnRoles(drop=("like", "cart")), settings=settings)


def small_trees(settings: Settings) -> Settings:
    return replace(settings, trees=TreeSettings(rounds=30, min_leaf_rows=10))


def test_a_searched_model_becomes_an_ensemble_and_comes_back_from_its_folder(
    log: pl.DataFrame, tiny: Settings, tmp_path: Path
) -> None:
    run = fitted(log, small_trees(tiny))
    model = run.predictor.network
    assert isinstance(model, Ensemble) and model.names[:2] == ("automtl", "shared-bottom")
    shares = run.metrics["ensemble"]["weights"]
    assert set(shares) == {"click", "buy"} and run.metrics["ensemble"]["missing"] is None
    for task in shares:
        assert set(shares[task]) == set(model.names) and sum(shares[task].values()) == pytest.approx(1, abs=1e-3)
    folder = run.save(tmp_path / "run").folder
    assert folder is not None and (folder / "trees.0.1.txt").is_file()
    back = Predictor.load(folder)
    assert back.spec == run.predictor.spec
    assert back.predict(log).equals(run.predictor.predict(log))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"<td>{100 * shares['click']['shared-bottom']:.3g} %</td>" in page


def test_trees_beside_a_network_without_rates_have_them(log: pl.DataFrame, tiny: Settings, tmp_path: Path) -> None:
    presets = (InputPreset("ids only", encoder={"target_encoding": False}),)
    settings = small_trees(replace(tiny, presets=presets, encoder=replace(tiny.encoder, target_encoding=True)))
    run = fitted(log, settings)
    spec, model = run.predictor.spec, run.predictor.network
    assert not spec.target_encoding and "boosted trees" in spec.trees and run.predictor.encoder.target_encodings
    assert isinstance(model, Ensemble) and model.columns[0] == model.columns[1] < max(model.columns)
    alone = fitted(log, replace(settings, ensemble=False))
    assert alone.predictor.spec.target_encoding and not alone.predictor.encoder.target_encodings
    for mine, other in zip(model.members[0].parameters(), alone.predictor.network.parameters(), strict=True):
        assert torch.equal(mine, other)
    folder = run.save(tmp_path / "run").folder
    assert folder is not None
    assert Predictor.load(folder).predict(log).equals(run.predictor.predict(log))


def test_the_reference_beside_a_model_is_the_one_that_chose_its_inputs(log: pl.DataFrame, tiny: Settings) -> None:
    one = replace(small_trees(tiny), model="mmoe", ensemble=True, presets=tiny.presets[:1])
    mmoe, own = fitted(log, one), fitted(log, replace(one, model="shared-bottom", ensemble=False))
    model = mmoe.predictor.network
    assert isinstance(model, Ensemble) and model.names[:2] == ("mmoe", "shared-bottom")
    for mine, other in zip(model.members[1].parameters(), own.predictor.network.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_the_setting_decides_who_gets_an_ensemble(log: pl.DataFrame, tiny: Settings) -> None:
    small = small_trees(replace(tiny, search=replace(tiny.search, trial_rows=0)))
    assert not isinstance(fitted(log, replace(small, ensemble=False)).predictor.network, Ensemble)
    published = replace(small, model="shared-bottom")
    assert not isinstance(fitted(log, published).predictor.network, Ensemble)
    model = fitted(log, replace(published, ensemble=True)).predictor.network
    assert isinstance(model, Ensemble) and all("trees" in name for name in model.names[1:])
    with pytest.raises(SettingsError, match="is trees already"):
        fitted(log, replace(small, model="lightgbm", ensemble=True))


def test_without_lightgbm_a_search_goes_on_and_says_so(
    log: pl.DataFrame, tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    run = fitted(log, tiny)
    assert "--force-reinstall lightgbm" in run.metrics["ensemble"]["missing"]
    with pytest.raises(SettingsError, match="LightGBM cannot be loaded"):
        fitted(log, replace(tiny, ensemble=True))


def test_settings_reach_the_trees() -> None:
    (trees,) = trees_on({"trees": LAYOUT}, TreeSettings(rounds=3, min_leaf_rows=5))
    (model,) = trees_of(trees.model)
    assert model.boosters[0].num_trees() == 3
