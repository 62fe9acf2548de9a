"""Boosted trees beside a network: shares that are chosen on validation rows, and the whole way to a folder and back."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor, nn

from automtl.config import InputPreset, Settings
from automtl.ensemble.ensemble import Ensemble, Member
from automtl.ensemble.settings import TreeSettings
from automtl.errors import SettingsError
from automtl.experiment import ColumnRoles, Run, fit_table
from automtl.features.batch import Features
from automtl.models.network import count_parameters
from automtl.predictor import Predictor
from automtl.tables.schema import Task
from automtl.training.evaluation import predict_logits
from tests.ensemble.test_trees import LAYOUT, SETTINGS, TASKS, new_model, rows, trained


class Constant(nn.Module):
    """The same logits for all rows."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, features: Features) -> Tensor:
        return self.logits.expand(len(features.categorical), -1)


def member(model: nn.Module) -> Member:
    return Member("a model", model, LAYOUT)


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


def test_trees_of_fewer_inputs_see_the_first_numeric_columns_alone() -> None:
    few = replace(LAYOUT, numeric=())
    whole, less = trained(rows()), trained(rows().for_layout(few), layout=few)
    batch = rows(seed=2)
    changed = replace(batch, features=replace(batch.features, numeric=batch.features.numeric + 5))
    assert torch.equal(*(predict_logits(less, some.for_layout(few)) for some in (batch, changed)))
    assert not torch.equal(*(predict_logits(whole, some) for some in (batch, changed)))
    model = Ensemble([Member("all", whole, LAYOUT), Member("few", less, few)], TASKS)
    model.weights = torch.tensor([[0.25, 0.5], [0.75, 0.5]])
    expected = model.weights[0] * whole(batch.features) + model.weights[1] * less(batch.for_layout(few).features)
    torch.testing.assert_close(predict_logits(model, batch), expected)


def test_rows_beyond_the_bound_are_not_read() -> None:
    large_leaves = replace(SETTINGS, min_leaf_rows=150)
    nodes = []
    for settings in (large_leaves, replace(large_leaves, max_rows=200)):
        model = new_model(settings=settings)
        model.learn(rows(), rows(seed=1), 0, lambda event: None, "trees")
        nodes.append(len(model.forest.column))
    assert nodes[0] > nodes[1] == 0


def fitted(log: pl.DataFrame, settings: Settings) -> Run:
    return fit_table(log, ["click", "buy"], roles=ColumnRoles(drop=("like", "cart")), settings=settings)


def small_trees(settings: Settings) -> Settings:
    return replace(settings, trees=TreeSettings(rounds=30, min_leaf_rows=10))


def test_a_searched_model_becomes_an_ensemble_and_comes_back_from_its_folder(
    log: pl.DataFrame, tiny: Settings, tmp_path: Path
) -> None:
    run = fitted(log, replace(small_trees(tiny), report=True))
    model = run.predictor.network
    assert isinstance(model, Ensemble) and {"automtl", "boosted trees"} < set(model.names)
    shares = run.metrics["ensemble"]["weights"]
    assert set(shares) == {"click", "buy"} and run.metrics["ensemble"]["missing"] is None
    for task in shares:
        assert set(shares[task]) == set(model.names) and sum(shares[task].values()) == pytest.approx(1, abs=1e-3)
    folder = run.save(tmp_path / "run").folder
    assert folder is not None and (folder / "trees.0.safetensors").is_file()
    back = Predictor.load(folder)
    assert back.spec == run.predictor.spec
    assert back.predict(log).equals(run.predictor.predict(log))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"<td>{100 * shares['click']['automtl']:.3g} %</td>" in page


def test_trees_beside_a_network_without_rates_have_them(log: pl.DataFrame, tiny: Settings, tmp_path: Path) -> None:
    presets = (InputPreset("ids only", encoder={"target_encoding": False}),)
    settings = small_trees(replace(tiny, presets=presets, encoder=replace(tiny.encoder, target_encoding=True)))
    run = fitted(log, settings)
    spec, model = run.predictor.spec, run.predictor.network
    assert isinstance(model, Ensemble) and run.predictor.encoder.target_encodings
    inputs = {member.name: (member.inputs.target_encoding, of[0]) for member, of in zip(spec.members, model.inputs)}
    assert inputs["boosted trees"][0] and not inputs["automtl"][0] and inputs["automtl"][1] < inputs["boosted trees"][1]
    alone = fitted(log, replace(settings, ensemble=False))
    assert not alone.predictor.encoder.target_encodings
    network = model.members[model.names.index("automtl")]
    for mine, other in zip(network.parameters(), alone.predictor.network.parameters(), strict=True):
        assert torch.equal(mine, other)
    folder = run.save(tmp_path / "run").folder
    assert folder is not None
    assert Predictor.load(folder).predict(log).equals(run.predictor.predict(log))


def test_the_reference_beside_a_model_is_trained_where_no_inputs_were_tried(log: pl.DataFrame, tiny: Settings) -> None:
    one = replace(small_trees(tiny), model="mmoe", ensemble=True, presets=tiny.presets[:1])
    ranked = fitted(log, one).history["leaderboard"]
    own = fitted(log, replace(one, model="shared-bottom", ensemble=False)).history["training"]
    (reference,) = [row for row in ranked if row["name"] == "shared-bottom"]
    assert reference["score"] == own["evaluations"][own["best"]]["score"]
    assert {"mmoe", "boosted trees"} < {row["name"] for row in ranked}


def test_the_setting_decides_who_gets_an_ensemble(log: pl.DataFrame, tiny: Settings) -> None:
    small = small_trees(replace(tiny, search=replace(tiny.search, trial_rows=0)))
    assert not isinstance(fitted(log, replace(small, ensemble=False)).predictor.network, Ensemble)
    published = replace(small, model="shared-bottom")
    assert not isinstance(fitted(log, published).predictor.network, Ensemble)
    model = fitted(log, replace(published, ensemble=True)).predictor.network
    assert isinstance(model, Ensemble) and all(
        "trees" in name or name == "catboost" or "shared-bottom" in name for name in model.names
    )
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
