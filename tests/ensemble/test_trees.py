"""Boosted trees: what they are fed, what they learn from, and the whole way on the command line."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from safetensors.numpy import load, save
from sklearn.metrics import roc_auc_score

from automtl.cli import main
from automtl.config import read_settings
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.tree_inputs import CATEGORIES, TreeInputs
from automtl.ensemble.trees import TreeModel
from automtl.errors import FileError, SettingsError
from automtl.experiment.fit import fit_table
from automtl.features.batch import Batch, Features
from automtl.features.layout import AspectLayout, CategoricalLayout, Layout, MultiLayout, NumericLayout, SequenceLayout
from automtl.models.network import count_parameters
from automtl.models.registry import check_model
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.system.manifest import MANIFEST, MODEL, checksums
from automtl.system.progress import Progress
from automtl.tables.schema import Field, FieldKind, Schema, Task, TaskKind
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.sampling import sample_negatives
from automtl.training.settings import TrainingSettings

TASKS = (Task("click"), Task("watch", TaskKind.REGRESSION))
LAYOUT = Layout(
    (
        CategoricalLayout("user", CATEGORIES + 1),
        CategoricalLayout("device", 5),
        CategoricalLayout("price", 9, bins=True),
    ),
    (MultiLayout("tags", 4, "mean"),),
    (NumericLayout("price", ("price",)),),
    TASKS,
)
SETTINGS = TreeSettings(rounds=60, min_leaf_rows=5, learning_rate=0.1)


def rows(count: int = 600, seed: int = 0) -> Batch:
    """Clicks and seconds watched that hang on device and price."""
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.integers(0, size, count) for size in (CATEGORIES + 1, 5, 9)], axis=1)
    price = rng.normal(size=(count, 1)).astype(np.float32)
    score = 2.0 * (ids[:, 1] % 2) + price[:, 0]
    labels = np.stack([score > 1, 10 * score + 3], axis=1).astype(np.float32)
    features = Features(torch.tensor(ids), (torch.tensor(rng.integers(0, 4, (count, 2))),), torch.tensor(price))
    return Batch(features, torch.tensor(labels), torch.ones(count, 2), torch.ones(count))


def new_model(layout: Layout = LAYOUT, settings: TreeSettings = SETTINGS) -> TreeModel:
    return TreeModel(layout, NetworkSettings(), torch.Generator(), settings)


def trained(train: Batch, valid: Batch | None = None, seed: int = 0, layout: Layout = LAYOUT) -> TreeModel:
    model, checks = new_model(layout), rows(seed=1) if valid is None else valid
    fit(model, train, checks.for_layout(layout), TASKS, TrainingSettings(), seed)
    return model


def test_a_sequence_is_its_length_and_how_often_the_target_is_in_it() -> None:
    layout = Layout((CategoricalLayout("item", 9),), (MultiLayout("seen", 0, "target", "item", 3),), (), TASKS)
    features = Features(
        torch.tensor([[3], [2], [0]]), (torch.tensor([[3, 4, 3], [1, 0, 0], [0, 0, 0]]),), torch.zeros(3, 0)
    )
    assert TreeInputs(layout).matrix(features)[:, 1:].tolist() == [[3, 2], [1, 0], [0, 0]]


def test_events_are_their_number_and_how_often_each_of_the_rows_ids_is_among_them() -> None:
    aspects = AspectLayout("item", 0, "item"), AspectLayout("tab", 0, "tab"), AspectLayout("age", 5)
    fields = CategoricalLayout("item", 9), CategoricalLayout("tab", 4)
    layout = Layout(fields, (MultiLayout("tags", 3, "sum"),), (), TASKS, (SequenceLayout("seen", aspects, 3),))
    item, tab = torch.tensor([[3, 4, 3], [1, 2, 0], [0, 0, 0]]), torch.tensor([[1, 2, 0], [3, 3, 0], [0, 0, 0]])
    lists = torch.tensor([[2], [0], [0]]), item, tab, torch.tensor([[4, 2, 1], [1, 1, 0], [0, 0, 0]])
    features = Features(torch.tensor([[3, 2], [2, 3], [0, 0]]), lists, torch.zeros(3, 0))
    assert TreeInputs(layout).matrix(features)[:, 2:].tolist() == [[1, 1, 2, 1, 3], [0, 0, 1, 2, 2], [0, 0, 0, 0, 0]]


def test_the_inputs_are_ids_counts_frequent_values_and_numbers() -> None:
    features = Features(
        torch.tensor([[64, 3, 8], [1, 0, 2]]), (torch.tensor([[3, 2], [1, 0]]),), torch.tensor([[0.5], [-1]])
    )
    inputs = TreeInputs(LAYOUT)
    assert inputs.matrix(features).tolist() == [[64, 3, 2, 1, 1, 0.5], [1, 0, 1, 0, 0, -1]]
    assert inputs.id_columns == [1]  # the user's ids are too many to be split by sets


def test_both_kinds_of_task_are_learned_and_heard_of() -> None:
    heard: list[Progress] = []
    model = new_model()
    result = fit(model, rows(), rows(seed=1), TASKS, TrainingSettings(), 0, heard.append, "training lightgbm")
    test = rows(seed=2)
    logits = predict_logits(model, test)
    assert ((logits[:, 0] > 0) == (test.labels[:, 0] > 0)).float().mean() > 0.95
    assert (logits[:, 1] - test.labels[:, 1]).square().mean() < 0.1 * test.labels[:, 1].var()
    assert result.score < 0.5 and result.evaluations[0].train_loss < result.evaluations[0].loss
    assert {event.stage for event in heard} == {"training lightgbm: click", "training lightgbm: watch"}
    assert count_parameters(model) > 100


def test_the_seed_decides_the_trees() -> None:
    first, second, other = trained(rows()), trained(rows()), trained(rows(), seed=1)
    assert first.to_bytes() == second.to_bytes() != other.to_bytes()


@pytest.mark.parametrize("role", ["mask", "weight"])
def test_rows_without_a_label_or_weight_teach_nothing(role: str) -> None:
    batch, half = rows(), torch.arange(600) < 300
    wrong = replace(batch, labels=torch.where(half.unsqueeze(1), 1 - batch.labels, batch.labels))
    hidden = torch.where(half, 0.0, 1.0)
    part = {"mask": hidden.unsqueeze(1).expand(-1, 2).contiguous()} if role == "mask" else {"weight": hidden}
    assert trained(replace(wrong, **part)).to_bytes() == trained(batch.take(~half)).to_bytes()


def test_weights_of_rows_count() -> None:
    batch = rows()
    heavy = replace(batch, weight=torch.where(batch.labels[:, 0] > 0, 9.0, 1.0))
    plain, weighted = (predict_logits(trained(each), rows(seed=2))[:, 0].sigmoid().mean() for each in (batch, heavy))
    assert weighted > plain


def test_a_task_without_validation_rows_is_trained_for_fixed_rounds() -> None:
    valid = rows(seed=1)
    unlabelled = replace(valid, mask=valid.mask * torch.tensor([1.0, 0.0]))
    assert (trained(rows(), unlabelled).forest.tree_task == 1).sum() == 60


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(SettingsError, match=r"pip install --force-reinstall lightgbm"):
        check_model("lightgbm", TASKS)


def call(*arguments: object) -> int:
    before, sys.argv = sys.argv, ["automtl", *map(str, arguments)]
    try:
        main()
    except SystemExit as error:
        return int(error.code or 0)
    finally:
        sys.argv = before
    return 0


def test_the_whole_way_on_the_command_line(
    log: pl.DataFrame, log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"trees": {"rounds": 30, "min_leaf_rows": 10}}))
    run, tasks = tmp_path / "run", ["--task", "click", "--task", "buy", "--drop", "like", "--drop", "cart"]
    assert call("fit", log_file, *tasks, "--model", "lightgbm", "--config", tmp_path / "s.yaml", "--out", run) == 0
    files = {path.name for path in run.iterdir()}
    assert "trees.0.safetensors" in files and "weights.safetensors" not in files
    history = json.loads((run / "history.json").read_text())
    assert [preset["name"] for preset in history["presets"]] == ["all inputs, strong decay", "ids only"]
    for command in (["evaluate", run, log_file], ["inspect", run]):
        assert call(*command) == 0
    assert "parameters" in capsys.readouterr().out
    assert call("predict", run, log_file, "--out", tmp_path / "scores.parquet") == 0
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    assert scores.columns == ["click", "buy"] and scores.height == log.height
    assert scores.select(pl.all().is_between(0, 1).all()).row(0) == (True, True)
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # it is not needed to score
    assert Predictor.load(run).predict(log).equals(scores)
    trees = run / "trees.0.safetensors"
    for arrays in ({"left": np.full(3, 7, np.int32)}, {"columns": np.array([2**20], np.int32)}):
        content = save(load(trees.read_bytes()) | arrays)
        bent = tmp_path / next(iter(arrays))
        shutil.copytree(run, bent)
        (bent / trees.name).write_bytes(content)
        MODEL.write(bent, {}, checksums(bent, files - {MANIFEST}))
        with pytest.raises(FileError, match=r"'trees.0.safetensors' cannot be used: .*; fit again"):
            Predictor.load(bent)
    with trees.open("a") as file:
        file.write("tampered")
    with pytest.raises(FileError, match=r"trees.0.safetensors' was changed"):
        Predictor.load(run)


@pytest.mark.parametrize("missing", [0, 100])
def test_tasks_learn_together_what_each_learns_alone(missing: int) -> None:
    train, valid = rows(), rows(seed=1)
    train.mask[:missing, 1] = 0  # where no label is missing, rows are binned once
    together = predict_logits(trained(train, valid), rows(seed=2))
    for index, task in enumerate(TASKS):
        alone = new_model(replace(LAYOUT, tasks=(task,)))
        own = [
            replace(batch, labels=batch.labels[:, index : index + 1], mask=batch.mask[:, index : index + 1])
            for batch in (train, valid)
        ]
        fit(alone, own[0], own[1], (task,), TrainingSettings(), 0)
        assert torch.equal(predict_logits(alone, rows(seed=2))[:, 0], together[:, index])


OPTIONS: list[dict[str, Any]] = [{}, {"positive_weight": 10.0}, {"negative_share": 0.2}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("signal", [False, True])
def test_predictions_are_probabilities_of_all_rows_from_the_first_tree_on(
    options: dict[str, Any], signal: bool
) -> None:
    tasks = (Task("click", **options), Task("other"))
    layout = replace(LAYOUT, tasks=tasks)
    parts = [rare_clicks(seed, signal) for seed in (0, 1, 2)]
    train = sample_negatives(parts[0], tasks, None, 0)
    model, again = new_model(layout), new_model(layout)
    fit(model, train, parts[1], tasks, TrainingSettings(), 0)
    again.restore(model.to_bytes())
    scores = predict_logits(again, parts[2]).sigmoid()
    assert torch.equal(scores, predict_logits(model, parts[2]).sigmoid())
    assert scores.mean(0).tolist() == pytest.approx(parts[2].labels.mean(0).tolist(), abs=0.015)
    if signal:
        assert roc_auc_score(parts[2].labels[:, 0], scores[:, 0]) > 0.8
        top = scores[:, 0] > 0.1
        assert float(scores[top, 0].mean()) == pytest.approx(float(parts[2].labels[top, 0].mean()), abs=0.08)


def rare_clicks(seed: int, signal: bool) -> Batch:
    """Rows of which 3 % have label 1, by device and price or at random."""
    batch = rows(6000, seed)
    ids, price = batch.features.categorical[:, 1], batch.features.numeric[:, 0]
    generator = torch.Generator().manual_seed(seed)
    logit = 2.0 * (ids % 2) + price - 4.9 if signal else torch.full((6000,), -3.5)
    labels = (torch.rand(6000, 2, generator=generator) < logit.sigmoid().unsqueeze(1)).float()
    return replace(batch, labels=labels)


def test_trees_of_one_leaf_predict_the_rate_too() -> None:
    tasks = (Task("click", positive_weight=10.0),)
    train = rare_clicks(0, signal=False)
    features = Features(torch.zeros_like(train.features.categorical), (), torch.zeros(6000, 1))
    train = replace(train, features=features, labels=train.labels[:, :1], mask=train.mask[:, :1])
    model = new_model(replace(LAYOUT, multi=(), tasks=tasks))
    fit(model, train, train, tasks, TrainingSettings(), 0)
    assert model.forest.num_trees and not len(model.forest.column)
    mean = predict_logits(model, train).sigmoid().mean().item()
    assert mean == pytest.approx(train.labels.mean().item(), abs=1e-4)


def test_a_task_without_options_does_not_start_from_what_another_one_needs() -> None:
    train, valid = rows(), rows(seed=1)
    model = new_model(replace(LAYOUT, tasks=(replace(TASKS[0], positive_weight=5.0), TASKS[1])))
    fit(model, train, valid, model.tasks, TrainingSettings(), 0)
    found, plain = (predict_logits(one, rows(seed=2)) for one in (model, trained(train, valid)))
    assert torch.equal(found[:, 1], plain[:, 1]) and not torch.equal(found[:, 0], plain[:, 0])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_saved_model_without_signal_predicts_the_rate_of_all_rows(options: dict[str, Any], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = pl.DataFrame({"user": random.integers(0, 60, 6000), "click": (random.random(6000) < 0.03).astype(int)})
    schema = Schema((Field("user", FieldKind.CATEGORICAL),), (Task("click", **options),))
    settings = read_settings(None, {"model": "lightgbm", "report": False, "presets": []})
    run = fit_table(table, schema=schema, settings=settings, out=tmp_path / "run")
    scores = Predictor.load(tmp_path / "run").predict(table)["click"]
    assert scores.equals(run.predictor.predict(table)["click"])
    assert scores.mean() == pytest.approx(table["click"].mean(), abs=0.01)
