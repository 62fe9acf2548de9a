"""Boosted trees: what they are fed, what they learn from, and the whole way on the command line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from automtl.cli import main
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.trees import CATEGORIES, TreeInputs, TreeModel
from automtl.errors import FileError, SettingsError
from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout, MultiLayout, NumericLayout
from automtl.models.network import count_parameters
from automtl.models.registry import check_model
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.system.progress import Progress
from automtl.tables.schema import Task, TaskKind
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings

TASKS = (Task("click"), Task("watch", TaskKind.REGRESSION))
LAYOUT = Layout(
    (CategoricalLayout("user", CATEGORIES + 1), CategoricalLayout("device", 5), CategoricalLayout("price:bin", 9)),
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


def trained(train: Batch, valid: Batch | None = None, seed: int = 0) -> TreeModel:
    model = new_model()
    fit(model, train, rows(seed=1) if valid is None else valid, TASKS, TrainingSettings(), seed)
    return model


def test_a_sequence_is_its_length_and_how_often_the_target_is_in_it() -> None:
    layout = Layout((CategoricalLayout("item", 9),), (MultiLayout("seen", 0, "target", "item", 3),), (), TASKS)
    features = Features(
        torch.tensor([[3], [2], [0]]), (torch.tensor([[3, 4, 3], [1, 0, 0], [0, 0, 0]]),), torch.zeros(3, 0)
    )
    assert TreeInputs(layout).matrix(features)[:, 1:].tolist() == [[3, 2], [1, 0], [0, 0]]


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
    assert first.texts() == second.texts() != other.texts()


@pytest.mark.parametrize("role", ["mask", "weight"])
def test_rows_without_a_label_or_weight_teach_nothing(role: str) -> None:
    batch, half = rows(), torch.arange(600) < 300
    wrong = replace(batch, labels=torch.where(half.unsqueeze(1), 1 - batch.labels, batch.labels))
    hidden = torch.where(half, 0.0, 1.0)
    part = {"mask": hidden.unsqueeze(1).expand(-1, 2).contiguous()} if role == "mask" else {"weight": hidden}
    assert trained(replace(wrong, **part)).texts() == trained(batch.take(~half)).texts()


def test_weights_of_rows_count() -> None:
    batch = rows()
    heavy = replace(batch, weight=torch.where(batch.labels[:, 0] > 0, 9.0, 1.0))
    plain, weighted = (predict_logits(trained(each), rows(seed=2))[:, 0].sigmoid().mean() for each in (batch, heavy))
    assert weighted > plain


def test_a_task_without_validation_rows_is_trained_for_fixed_rounds() -> None:
    valid = rows(seed=1)
    unlabelled = replace(valid, mask=valid.mask * torch.tensor([1.0, 0.0]))
    assert trained(rows(), unlabelled).boosters[1].num_trees() == 60


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
    log: pl.DataFrame, log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"trees": {"rounds": 30, "min_leaf_rows": 10}}))
    run, tasks = tmp_path / "run", ["--task", "click", "--task", "buy", "--drop", "like", "--drop", "cart"]
    assert call("fit", log_file, *tasks, "--model", "lightgbm", "--config", tmp_path / "s.yaml", "--out", run) == 0
    files = {path.name for path in run.iterdir()}
    assert {"trees.0.0.txt", "trees.0.1.txt"} <= files and "weights.safetensors" not in files
    history = json.loads((run / "history.json").read_text())
    assert [preset["name"] for preset in history["presets"]] == ["target encoding, strong decay", "ids only"]
    for command in (["evaluate", run, log_file], ["inspect", run]):
        assert call(*command) == 0
    assert "parameters" in capsys.readouterr().out
    assert call("predict", run, log_file, "--out", tmp_path / "scores.parquet") == 0
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    assert scores.columns == ["click", "buy"] and scores.height == log.height
    assert scores.select(pl.all().is_between(0, 1).all()).row(0) == (True, True)
    with (run / "trees.0.1.txt").open("a") as file:
        file.write("tampered")
    with pytest.raises(FileError, match="trees.0.1.txt"):
        Predictor.load(run)


@pytest.mark.parametrize("missing", [0, 100])
def test_tasks_learn_together_what_each_learns_alone(missing: int) -> None:
    train, valid = rows(), rows(seed=1)
    train.mask[:missing, 1] = 0  # where no label is missing, rows are binned once
    together = trained(train, valid).texts()
    for index, task in enumerate(TASKS):
        alone = new_model(replace(LAYOUT, tasks=(task,)))
        own = [
            replace(batch, labels=batch.labels[:, index : index + 1], mask=batch.mask[:, index : index + 1])
            for batch in (train, valid)
        ]
        fit(alone, own[0], own[1], (task,), TrainingSettings(), 0)
        assert alone.texts() == [together[index]]
